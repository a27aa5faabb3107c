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
  private let layoutChanges: [LayoutChange]

  private struct Output {
    var info: ViewAndMutationMeta.OutputInfo
    var moment = Moment.afterWrites
  }

  /// When an output is made. Eager autograd treats a view that was there before a write otherwise than a later one.
  private enum Moment { case beforeWrites, afterWrites, afterLayoutChanges }

  private struct LayoutChange {
    var input: Int
    /// Whether autograd must not look: it would refuse, so it did not when the function did the same.
    var isHidden: Bool
    var steps: [ViewStep]
  }

  /// nil where every output is the graph's own.
  public init?(_ meta: ViewAndMutationMeta) {
    layoutChanges = meta.inputs.enumerated().compactMap { index, info in
      info.layoutChanges.isEmpty
        ? nil
        : LayoutChange(
          input: index, isHidden: info.isLeaf && info.requiresGrad, steps: info.layoutChanges)
    }
    guard
      meta.intermediateBaseCount > 0 || !layoutChanges.isEmpty
        || meta.outputs.contains(where: { $0.kind != .nonAlias || $0.isRequiringLeaf })
    else { return nil }
    outputs = meta.outputs.reduce(into: []) { outputs, info in
      var output = Output(info: info)
      switch info.kind {
      case .aliasOfInput(let input):
        if info.isMadeBeforeWrites { output.moment = .beforeWrites }
        let changes = meta.inputs[input].layoutChanges
        if !changes.isEmpty, info.views.count > changes.count, info.views.starts(with: changes) {
          output.info.views.removeFirst(changes.count)
          output.moment = .afterLayoutChanges
        }
      // A base that is an output itself may come after its views, but is the graph's own.
      case .aliasOfOutput(let other): if other < outputs.count { output.moment = outputs[other].moment }
      default: break
      }
      outputs.append(output)
    }
    keptCount = meta.outputs.count { $0.kind == .nonAlias }
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { arguments in
      for change in layoutChanges { try Self.check(change, of: arguments[change.input]) }
      var values = [Value](repeating: .none, count: outputs.count)
      try make(.beforeWrites, &values, arguments, results: [])
      let results = try inner(arguments)
      var kept = results.prefix(keptCount).makeIterator()
      for index in outputs.indices where outputs[index].info.kind == .nonAlias { values[index] = kept.next() ?? .none }
      try make(.afterWrites, &values, arguments, results: results)
      for change in layoutChanges { try Self.make(change, of: arguments[change.input]) }
      try make(.afterLayoutChanges, &values, arguments, results: results)
      for (output, value) in zip(outputs, values) where output.info.isRequiringLeaf {
        try value.reference?.setRequiresGrad(true)
      }
      return values
    }
  }

  /// Makes the outputs of a moment that the graph has not made.
  private func make(_ moment: Moment, _ values: inout [Value], _ arguments: [Value], results: [Value]) throws {
    for (index, output) in outputs.enumerated() where output.moment == moment {
      switch output.info.kind {
      case .nonAlias: break
      case .constant(let constant): values[index] = constant.widened()
      case .isInput(let input): values[index] = arguments[input]
      case .aliasOfInput(let input): values[index] = try Self.view(output.info, of: arguments[input])
      case .aliasOfIntermediate(let base): values[index] = try Self.view(output.info, of: results[keptCount + base])
      case .aliasOfOutput(let other): values[index] = try Self.view(output.info, of: values[other])
      }
    }
  }

  /// Refuses, before anything is written, what autograd would refuse when the change is made.
  private static func check(_ change: LayoutChange, of input: Value) throws {
    guard isGradEnabled, !change.isHidden, let input = input.reference, input.requiresGrad else { return }
    for step in change.steps { try InPlaceRules.check(input, step.target) }
  }

  private static func make(_ change: LayoutChange, of input: Value) throws {
    for step in change.steps {
      let call = [input] + step.arguments.map { $0.widened() }
      _ = change.isHidden ? try noGrad { try step.target.inPlace.call(call) } : try step.target.inPlace.call(call)
    }
  }

  private static func view(_ output: ViewAndMutationMeta.OutputInfo, of base: Value) throws -> Value {
    guard let base = base.reference else {
      throw GraphError(.execution, "an output is a view of something that is no tensor")
    }
    return .reference(try output.views.applied(to: base))
  }
}
