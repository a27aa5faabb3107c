import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// How one output of a compiled function comes about at a call. An object, since it is looked at in its place.
final class RegeneratedOutput: Sendable {
  /// When an output is made. Eager autograd treats a view that was there before a write otherwise than a later one.
  enum Moment { case beforeWrites, afterWrites, afterLayoutChanges }

  private enum Source: Sendable {
    case constant(Constant)
    /// The graph's own.
    case result(Int)
    case input(Int)
    case viewOfResult(Int)
    case viewOfInput(Int)
    case viewOfOutput(Int)
  }

  let moment: Moment
  private let position: Int
  private let source: Source
  private let views: PreparedViews
  /// The result whose gradient history the view has, and the views of it that the output is; nil where the history is that of
  /// what the views are taken of.
  private let history: (result: Int, views: PreparedViews)?

  var isView: Bool {
    switch source {
    case .constant, .result, .input: false
    case .viewOfResult, .viewOfInput, .viewOfOutput: true
    }
  }

  private init(
    _ moment: Moment, at position: Int, _ source: Source, _ steps: [ViewStep], of base: TensorMeta?,
    history: (result: Int, stepCount: Int)?
  ) {
    self.moment = moment
    self.position = position
    self.source = source
    views = PreparedViews(history.map { Array(steps.prefix($0.stepCount)) } ?? steps, of: base)
    self.history = history.map { ($0.result, PreparedViews(Array(steps.dropFirst($0.stepCount)), of: nil)) }
  }

  /// - Parameter inputs: The metadata of the inputs.
  static func all(of meta: ViewAndMutationMeta, inputs: [TensorMeta?]) -> [RegeneratedOutput] {
    let ownCount = meta.outputs.count { $0.kind == .nonAlias }
    var nextResult = 0
    var nextHistory = ownCount + meta.intermediateBaseCount
    return meta.outputs.enumerated().reduce(into: []) { outputs, output in
      let info = output.element
      var (moment, source, steps, base) = (Moment.afterWrites, Source.result(nextResult), info.views, TensorMeta?.none)
      switch info.kind {
      case .nonAlias: nextResult += 1
      case .constant(let constant): source = .constant(constant)
      case .isInput(let input): source = .input(input)
      case .aliasOfIntermediate(let base): source = .viewOfResult(ownCount + base)
      case .aliasOfOutput(let other):
        source = .viewOfOutput(other)
        // One that comes later is the graph's own.
        if other < outputs.count { moment = outputs[other].moment }
      case .aliasOfInput(let input):
        source = .viewOfInput(input)
        base = inputs[input]
        let changes = meta.inputs[input].layoutChanges
        if steps.count > changes.count, steps.starts(with: changes, by: { $0.isSameView(as: $1) }) {
          steps.removeFirst(changes.count)
          moment = .afterLayoutChanges
          if !changes.isEmpty { base = nil }
        }
        if info.isMadeBeforeWrites, steps.count == info.views.count { moment = .beforeWrites }
      }
      var history: (Int, Int)?
      if let count = info.ownHistory {
        // An input whose layout changed has its history already.
        let remaining = count - (info.views.count - steps.count)
        history = remaining > 0 ? (nextHistory, remaining) : nil
        nextHistory += 1
      }
      outputs.append(RegeneratedOutput(moment, at: output.offset, source, steps, of: base, history: history))
    }
  }

  /// Makes the output.
  ///
  /// - Parameters:
  ///   - values: The outputs made so far.
  ///   - results: What the graph gave.
  func make(_ values: inout [Value], _ arguments: [Value], results: [Value]) throws {
    values[position] =
      switch source {
      case .constant(let constant): constant.widened()
      case .result(let index): results[index]
      case .input(let index): arguments[index]
      case .viewOfResult(let index): try view(of: results[index], results)
      case .viewOfInput(let index): try view(of: arguments[index], results)
      case .viewOfOutput(let index): try view(of: values[index], results)
      }
  }

  private func view(of base: Value, _ results: [Value]) throws -> Value {
    guard let base = base.reference else {
      throw GraphError(.execution, "an output is a view of something that is no tensor")
    }
    let view = try views.applied(to: base)
    guard let history else { return .reference(view) }
    if let edge = try results[history.result].reference?.gradientEdge() { view.setHistory(edge) }
    return .reference(try history.views.applied(to: view))
  }
}
