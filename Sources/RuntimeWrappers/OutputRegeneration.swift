import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Gives the caller outputs that share memory as the eager function's do: the input itself, views of inputs, views of one
/// intermediate value. The views are made anew on the real tensors, so autograd knows them as views.
///
/// It also makes the calls that gave inputs another layout, such as `t_`: views start from the layout before or after them.
public struct OutputRegeneration: RuntimeWrapper {
  public static let name = "output alias regeneration"

  private let outputs: [Output]
  private let keptCount: Int
  /// The outputs whose gradient history comes from a result of its own, in the results' order after the bases.
  private let histories: [Int]
  private let baseCount: Int
  /// Inputs that are given the memory of the last outputs, which the caller does not see.
  private let storageChanges: [StorageChange]
  private let layoutChanges: [LayoutChange]

  private struct StorageChange {
    var input: Int
    var isUnderNoGrad: Bool
  }

  private struct Output {
    var info: ViewAndMutationMeta.OutputInfo
    var moment = Moment.afterWrites
    var views = PreparedViews([], of: nil)
  }

  /// When an output is made. Eager autograd treats a view that was there before a write otherwise than a later one.
  private enum Moment { case beforeWrites, afterWrites, afterLayoutChanges }

  /// nil where every output is the graph's own.
  ///
  /// - Parameter inputs: The metadata of the inputs.
  public init?(_ meta: ViewAndMutationMeta, inputs: [TensorMeta?]) {
    layoutChanges = meta.inputs.enumerated().compactMap { index, info in
      info.layoutChanges.isEmpty
        ? nil
        : LayoutChange(
          input: index, isHidden: info.isLeaf && info.requiresGrad, steps: info.layoutChanges)
    }
    storageChanges = meta.inputs.enumerated().compactMap { index, info in
      info.storageChange.map { StorageChange(input: index, isUnderNoGrad: $0 == .underNoGrad) }
    }
    guard
      meta.intermediateBaseCount > 0 || !layoutChanges.isEmpty || !storageChanges.isEmpty
        || meta.outputs.contains(where: { $0.kind != .nonAlias || $0.isRequiringLeaf })
    else { return nil }
    outputs = meta.outputs.reduce(into: []) { outputs, info in
      var output = Output(info: info)
      switch info.kind {
      case .aliasOfInput(let input):
        if info.isMadeBeforeWrites { output.moment = .beforeWrites }
        let changes = meta.inputs[input].layoutChanges
        if !changes.isEmpty, info.views.count > changes.count,
          info.views.starts(with: changes, by: { $0.isSameView(as: $1) })
        {
          output.info.views.removeFirst(changes.count)
          output.moment = .afterLayoutChanges
        }
      // A base that is an output itself may come after its views, but is the graph's own.
      case .aliasOfOutput(let other): if other < outputs.count { output.moment = outputs[other].moment }
      default: break
      }
      var base: TensorMeta?
      if case .aliasOfInput(let input) = info.kind, output.moment != .afterLayoutChanges { base = inputs[input] }
      output.views = PreparedViews(output.info.views, of: base)
      outputs.append(output)
    }
    keptCount = meta.outputs.count { $0.kind == .nonAlias }
    histories = meta.outputs.indices.filter { meta.outputs[$0].hasOwnHistory }
    baseCount = meta.intermediateBaseCount
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { arguments in
      for change in layoutChanges { try change.check(arguments) }
      var values = [Value](repeating: .none, count: outputs.count)
      try make(.beforeWrites, &values, arguments, results: [])
      let results = try inner(arguments)
      var kept = results.prefix(keptCount).makeIterator()
      for index in outputs.indices where outputs[index].info.kind == .nonAlias { values[index] = kept.next() ?? .none }
      try make(.afterWrites, &values, arguments, results: results)
      for change in layoutChanges { try change.make(arguments) }
      try make(.afterLayoutChanges, &values, arguments, results: results)
      for (output, result) in zip(histories, results.dropFirst(keptCount + baseCount)) {
        if let edge = try result.reference?.gradientEdge() { values[output].reference?.setHistory(edge) }
      }
      for (output, value) in zip(outputs, values) where output.info.isRequiringLeaf {
        try value.reference?.setRequiresGrad(true)
      }
      if storageChanges.isEmpty { return values }
      for (change, source) in zip(storageChanges, values.suffix(storageChanges.count)) {
        let set = { _ = try OperatorLibrary.setSource(arguments[change.input], source) }
        if change.isUnderNoGrad { try noGrad(set) } else { try set() }
      }
      return Array(values.dropLast(storageChanges.count))
    }
  }

  /// Makes the outputs of a moment that the graph has not made.
  private func make(_ moment: Moment, _ values: inout [Value], _ arguments: [Value], results: [Value]) throws {
    for (index, output) in outputs.enumerated() where output.moment == moment {
      switch output.info.kind {
      case .nonAlias: break
      case .constant(let constant): values[index] = constant.widened()
      case .isInput(let input): values[index] = arguments[input]
      case .aliasOfInput(let input): values[index] = try Self.view(output, of: arguments[input])
      case .aliasOfIntermediate(let base): values[index] = try Self.view(output, of: results[keptCount + base])
      case .aliasOfOutput(let other): values[index] = try Self.view(output, of: values[other])
      }
    }
  }

  private static func view(_ output: Output, of base: Value) throws -> Value {
    guard let base = base.reference else {
      throw GraphError(.execution, "an output is a view of something that is no tensor")
    }
    if output.info.hasOwnHistory { return .reference(try noGrad { try output.views.applied(to: base) }) }
    return .reference(try output.views.applied(to: base))
  }
}
