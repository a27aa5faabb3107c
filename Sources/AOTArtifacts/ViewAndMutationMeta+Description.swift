import GraphIR
import TensorCore

extension ViewAndMutationMeta: CustomStringConvertible {
  /// A line per input and output.
  public var description: String {
    var lines = inputs.enumerated().map { "input \($0): \($1)" }
    lines += outputs.enumerated().map { "output \($0): \($1)" }
    if intermediateBaseCount > 0 { lines.append("intermediate bases: \(intermediateBaseCount)") }
    if !tangents.isEmpty { lines.append("tangents: \(tangents.map(\.description).joined(separator: ", "))") }
    if let gradModeAfter { lines.append("grad mode after: \(gradModeAfter ? "on" : "off")") }
    return lines.joined(separator: "\n")
  }
}

extension ViewAndMutationMeta.InputInfo: CustomStringConvertible {
  public var description: String {
    var parts: [String] = []
    if isStatic { parts.append("closed over") }
    if requiresGrad {
      parts.append(isLeaf ? "leaf that requires grad" : isView ? "view that requires grad" : "requires grad")
    }
    if mutatesData {
      var part = mutation == .outOfGraph ? "written after the graph" : "written in the graph"
      if mutationsHiddenFromAutograd { part += ", hidden from autograd" }
      if mutationsUnderNoGrad { part += ", without grad" }
      parts.append(part)
    }
    if mutatesMetadata {
      let layout = layoutAfter.map { " to sizes \($0.sizes), strides \($0.strides), offset \($0.offset)" } ?? ""
      parts.append("layout changed\(layout) by \(layoutChanges.map(\.description).joined(separator: ", "))")
    }
    switch storageChange {
    case .tracked: parts.append("given other memory")
    case .underNoGrad: parts.append("given other memory without grad")
    case .grown: parts.append("storage resized")
    case nil: break
    }
    if onlyAdvancesVersion { parts.append("a view's layout changed") }
    return parts.isEmpty ? "read only" : parts.joined(separator: "; ")
  }
}

extension ViewAndMutationMeta.OutputInfo: CustomStringConvertible {
  public var description: String {
    var parts = [views.isEmpty ? "\(kind)" : "\(kind) by \(views.map(\.description).joined(separator: ", "))"]
    if let meta { parts.append("\(meta.dtype.abbreviation)\(meta.sizes) strides \(meta.layout.strides)") }
    if requiresGrad { parts.append("requires grad") }
    if isMadeAfterStorageChange { parts.append("of the other memory that the input was given") }
    switch specialView {
    case .unsafe: parts.append("no view to autograd")
    case .customFunction: parts.append("given by a custom function")
    case nil: break
    }
    return parts.joined(separator: "; ")
  }
}

extension ViewAndMutationMeta.Result: CustomStringConvertible {
  public var description: String {
    switch self {
    case .token(let number): "token \(number)"
    case .mutatedInput(let input): "written input \(input)"
    case .output(let output): "output \(output)"
    case .intermediateBase(let base): "intermediate base \(base)"
    case .outputHistory(let output): "history of output \(output)"
    }
  }
}

extension ViewAndMutationMeta.OutputInfo.Kind: CustomStringConvertible {
  public var description: String {
    switch self {
    case .nonAlias: "memory of its own"
    case .constant: "constant"
    case .isInput(let input): "input \(input) itself"
    case .aliasOfInput(let input): "view of input \(input)"
    case .aliasOfIntermediate(let base): "view of intermediate base \(base)"
    case .aliasOfOutput(let output): "view of output \(output)"
    }
  }
}

extension ViewStep: CustomStringConvertible {
  /// The call as in a graph's text, without what is viewed: `select.int(0, 1)`.
  public var description: String {
    let name = target.name.overload == "default" ? target.name.base : "\(target.name.base).\(target.name.overload)"
    let result = resultIndex == 0 ? "" : "[\(resultIndex)]"
    return
      "\(name)(\(arguments.map(Self.spelled).joined(separator: ", ")))\(result)\(isWithoutGrad ? " without grad" : "")"
  }

  private static func spelled(_ constant: Constant) -> String {
    switch constant {
    case .none: "none"
    case .bool(let value): "\(value)"
    case .int(let value): "\(value)"
    case .double(let value): "\(value)"
    case .string(let value): "\"\(value)\""
    case .dtype(let value): "\(value.abbreviation)"
    case .memoryFormat(let value): value.rawValue
    case .device(let value): "\(value)"
    case .list(let values): "[\(values.map(spelled).joined(separator: ", "))]"
    case .tuple(let values): "(\(values.map(spelled).joined(separator: ", ")))"
    case .dictionary(let entries): "{\(entries.map { "\($0.key): \(spelled($0.value))" }.joined(separator: ", "))}"
    }
  }
}
