import AOTAutograd
import GraphIR
import Operators
import TensorCore

extension FunctionCase {
  /// A test of the case, in Swift.
  func testSource(named name: String, comment: String) -> String {
    var lines = comment.split(separator: "\n").map { "/// \($0)" }
    lines.append("func \(name)() throws {")
    lines.append("  try aotcheck(")
    lines.append("    configuration: \(configuration.source),")
    lines.append("    calls: [")
    for call in calls { lines += call.source.indented(6) }
    lines.append("    ]" + (captured.results.isEmpty ? "" : ","))
    if !captured.results.isEmpty {
      lines.append("    capturing: {")
      lines += captured.argumentsSource.indented(6)
      lines.append("    }")
    }
    lines.append("  ) { \(captured.results.isEmpty ? "arguments" : "arguments, captured") in")
    let counts = [("arguments", calls.first?.arguments.results.count ?? 0), ("captured", captured.results.count)]
    lines += body.parametersSource(counts).indented(4) + body.stepsSource.indented(4)
    lines.append("    return [\(body.results.map { $0.map { "v\($0)" } ?? "nil" }.joined(separator: ", "))]")
    return (lines + ["  }", "}"]).joined(separator: "\n")
  }
}

extension AOTConfiguration {
  fileprivate var source: String {
    let compiler =
      switch compiler {
      case .cpu: ".cpu"
      case .interpret: ".interpret"
      case .none: ".none"
      case .custom: "compiler"
      }
    let isDefault = if case .default = partitioner { true } else { false }
    return "AOTConfiguration(compiler: \(compiler)\(isDefault ? ", partitioner: .default" : ""))"
  }
}

extension FunctionCase.Call {
  fileprivate var source: [String] {
    var parameters: [String] = []
    if !isGradEnabled { parameters.append("isGradEnabled: false") }
    if isLikePrevious { parameters.append("isLikePrevious: true") }
    if omittedRoots == .max { parameters.append("tangent: { _, _ in nil }") }
    if omittedRoots != 0, omittedRoots != .max {
      let omitted = (0..<64).filter { omittedRoots >> UInt64($0) & 1 == 1 }
      parameters.append(
        "tangent: { try \(omitted).contains($0) ? nil : CheckedCall.unevenTangent(root: $0, tensor: $1) }")
    }
    var lines = ["CheckedCall(" + parameters.joined(separator: ", ")]
    if let afterwards {
      lines[0] += (parameters.isEmpty ? "" : ", ") + "afterwards: { arguments, outputs in"
      lines.append("  let visible = arguments + outputs.compactMap(\\.self)")
      lines += afterwards.parametersSource([("visible", afterwards.parameters.count)]).indented(2)
      lines += afterwards.stepsSource.indented(2) + ["}"]
    }
    lines[lines.count - 1] += ") {"
    return lines + arguments.argumentsSource.indented(2) + ["},"]
  }
}

extension TensorProgram {
  /// Statements that make what a program without parameters makes, and return it.
  fileprivate var argumentsSource: [String] {
    func list(_ names: [Name]) -> String { "[" + names.map { "v\($0)" }.joined(separator: ", ") + "]" }
    return stepsSource + ["return .init(\(list(results.compactMap(\.self))), behind: \(list(leaves)))"]
  }

  /// - Parameter lists: What holds the arguments, one list after the other.
  fileprivate func parametersSource(_ lists: [(name: String, count: Int)]) -> [String] {
    let places = lists.flatMap { list in (0..<list.count).map { "\(list.name)[\($0)]" } }
    return zip(parameters, places).filter { isUsed($0.0) }.map { "let v\($0) = \($1)" }
  }

  fileprivate var stepsSource: [String] { steps.flatMap { source(of: $0) } }

  private func isUsed(_ name: Name) -> Bool {
    results.contains(name) || steps.contains { $0.action.uses.contains(name) }
  }

  private func source(of step: Step) -> [String] {
    let mode = step.isGradEnabled.map { ($0 ? "enableGrad" : "noGrad") + " { try " } ?? ""
    let end = mode.isEmpty ? "" : " }"
    func bound(_ name: Name?) -> String { name.flatMap { isUsed($0) ? "let v\($0)" : nil } ?? "_" }
    switch step.action {
    case .literal(let literal): return ["\(bound(step.results[0])) = try \(literal.source)"]
    case .requireGrad(let name): return ["try v\(name).setRequiresGrad(true)"]
    case .gradMode(let isEnabled): return ["setGradEnabled(\(isEnabled))"]
    case .call(let target, let arguments):
      let call = "try \(mode)OperatorLibrary.named(\"\(target.name)\")"
      let list = "(" + target.shortest(arguments).map(\.source).joined(separator: ", ") + ")"
      let isSingle = target.schema.returns.count == 1 && target.schema.returns[0].type == .tensor
      if isSingle { return ["\(bound(step.results.first.flatMap(\.self))) = \(call)\(list)\(end)"] }
      let used = step.results.enumerated().compactMap { index, name in
        name.flatMap { isUsed($0) ? (index: index, name: $0) : nil }
      }
      guard let first = used.first else { return ["_ = \(call).several\(list)\(end)"] }
      return ["let several\(first.name) = \(call).several\(list)\(end)"]
        + used.map { "let v\($0.name) = several\(first.name)[\($0.index)]" }
    }
  }
}

extension OperatorDefinition {
  /// The arguments without those at the end that are the defaults.
  fileprivate func shortest(_ arguments: [Argument<Int>]) -> ArraySlice<Argument<Int>> {
    var count = arguments.count
    while count > 0, let value = schema.parameters[count - 1].defaultValue, arguments[count - 1] == value.widened() {
      count -= 1
    }
    return arguments.prefix(count)
  }
}

extension Argument<Int> {
  fileprivate var source: String {
    func list(_ elements: [Argument]) -> String { "[" + elements.map(\.source).joined(separator: ", ") + "]" }
    return switch self {
    case .none: ".none"
    case .reference(let name): ".reference(v\(name))"
    case .bool(let value): ".bool(\(value))"
    case .int(let value): ".int(\(value))"
    case .double(let value): ".double(\(value))"
    case .string(let value): ".string(\"\(value)\")"
    case .dtype(let value): ".dtype(.\(value))"
    case .device(let value): ".device(\(value))"
    case .memoryFormat(let value): ".memoryFormat(.\(value))"
    case .list(let elements): ".list(\(list(elements)))"
    case .tuple(let elements): ".tuple(\(list(elements)))"
    case .dictionary: ".dictionary([])"
    }
  }
}

extension ProgramLiteral {
  fileprivate var source: String {
    let numbers = elements.map { dtype == .bool ? "\($0 != 0)" : $0 == $0.rounded() ? "\(Int($0))" : "\($0)" }
    let list = "[" + numbers.joined(separator: ", ") + "]"
    let typed =
      switch dtype {
      case .bool: "\(list) as [Bool]"
      case .float16: "(\(list) as [Float]).map { Half($0) }"
      case .bfloat16: "(\(list) as [Float]).map { BFloat16($0) }"
      case .float32: "\(list) as [Float]"
      case .float64: "\(list) as [Double]"
      default: "\(list) as [\(dtype.swiftName)]"
      }
    return "Tensor(\(typed), shape: \(shape))" + (requiresGrad ? ".requiringGrad()" : "")
  }
}

extension [String] {
  fileprivate func indented(_ count: Int) -> [String] { map { String(repeating: " ", count: count) + $0 } }
}

extension DType {
  /// The Swift type of an integer's elements.
  fileprivate var swiftName: String { self == .uint8 ? "UInt8" : "Int\(byteCount * 8)" }
}
