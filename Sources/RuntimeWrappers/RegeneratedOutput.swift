import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// How one output of a compiled function comes about at a call. An object, since it is looked at in its place.
final class RegeneratedOutput: Sendable {
  /// When an output is made. Eager autograd treats a view that was there before a write otherwise than a later one.
  enum Moment { case beforeWrites, afterWrites, afterLayoutChanges, afterStorageChanges }

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
  /// Whether it is a view that the function took after its last write to an input, but before it gave the input another layout here.
  let isLatest: Bool
  private let position: Int
  private let source: Source
  private let views: PreparedViews
  /// The result whose gradient history the view has, and the views of it that the output is; nil where the history is that of
  /// what the views are taken of.
  private let history: (result: Int, views: PreparedViews)?

  /// - Parameters:
  ///   - numbers: Where the output and its history would be among the results.
  ///   - base: The moment of the output that it is a view of.
  private init(
    _ info: ViewAndMutationMeta.OutputInfo, at position: Int, _ numbers: (result: Int, history: Int), base: Moment?,
    _ meta: ViewAndMutationMeta, inputs: [TensorMeta?]
  ) {
    var moment = base ?? .afterWrites
    var steps = info.views
    var baseMeta: TensorMeta?
    switch info.kind {
    case .nonAlias: source = .result(numbers.result)
    case .constant(let constant): source = .constant(constant)
    case .isInput(let input): source = .input(input)
    case .aliasOfIntermediate(let base): source = .viewOfResult(meta.ownOutputCount + base)
    case .aliasOfOutput(let other): source = .viewOfOutput(other)
    case .aliasOfInput(let input):
      source = .viewOfInput(input)
      baseMeta = inputs[input]
      let changes = meta.inputs[input].layoutChanges
      if !changes.isEmpty, steps.count > changes.count, steps.starts(with: changes, by: { $0.isSameView(as: $1) }) {
        steps.removeFirst(changes.count)
        moment = .afterLayoutChanges
        baseMeta = nil
      }
      if info.isMadeBeforeWrites, steps.count == info.views.count { moment = .beforeWrites }
      if info.isMadeAfterStorageChange { (moment, baseMeta) = (.afterStorageChanges, nil) }
    }
    // An input whose layout changed has its history already.
    let own = info.ownHistory.map { $0 - (info.views.count - steps.count) }.flatMap { $0 > 0 ? $0 : nil }
    views = PreparedViews(own.map { Array(steps.prefix($0)) } ?? steps, of: baseMeta)
    history = own.map { (numbers.history, PreparedViews(Array(steps.dropFirst($0)), of: nil)) }
    // The history is a result.
    if own != nil, moment == .beforeWrites { moment = .afterWrites }
    isLatest = moment == .afterWrites && baseMeta != nil && !info.isMadeBeforeWrites && info.ownHistory == nil
    self.moment = moment
    self.position = position
  }

  /// The outputs, each after the one that it is a view of.
  ///
  /// - Parameter inputs: The metadata of the inputs.
  static func all(of meta: ViewAndMutationMeta, inputs: [TensorMeta?]) -> [RegeneratedOutput] {
    var next = (result: 0, history: meta.ownOutputCount + meta.intermediateBaseCount)
    let numbers = meta.outputs.map { info in
      defer {
        if info.kind == .nonAlias { next.result += 1 }
        if info.ownHistory != nil { next.history += 1 }
      }
      return next
    }
    var made: [Int: RegeneratedOutput] = [:]
    var outputs: [RegeneratedOutput] = []
    func make(_ position: Int) -> RegeneratedOutput {
      if let known = made[position] { return known }
      let info = meta.outputs[position]
      let base: Moment? = if case .aliasOfOutput(let other) = info.kind { make(other).moment } else { nil }
      let output = RegeneratedOutput(info, at: position, numbers[position], base: base, meta, inputs: inputs)
      made[position] = output
      outputs.append(output)
      return output
    }
    for position in meta.outputs.indices { _ = make(position) }
    return outputs
  }

  /// Makes the output.
  ///
  /// - Parameters:
  ///   - values: The outputs made so far.
  ///   - results: What the graph gave.
  func make(_ values: inout [Value], _ arguments: [Tensor], results: [Value]) throws {
    values[position] =
      switch source {
      case .constant(let constant): constant.widened()
      case .result(let index): results[index]
      case .input(let index): .reference(arguments[index])
      case .viewOfResult(let index): try view(of: results[index].reference, results)
      case .viewOfInput(let index): try view(of: arguments[index], results)
      case .viewOfOutput(let index): try view(of: values[index].reference, results)
      }
  }

  /// Has autograd take the output for a view of memory as it is now.
  func settle(_ values: [Value]) { values[position].reference?.settleViewGradient() }

  private func view(of base: Tensor?, _ results: [Value]) throws -> Value {
    guard let base else {
      throw GraphError(.execution, "an output is a view of something that is no tensor")
    }
    let view = try views.applied(to: base)
    guard let history else { return .reference(view) }
    if let edge = try results[history.result].reference?.gradientEdge() { view.setHistory(edge) }
    return .reference(try history.views.applied(to: view))
  }
}

extension ViewAndMutationMeta {
  /// The number of outputs that the graph returns themselves.
  fileprivate var ownOutputCount: Int { outputs.count { $0.kind == .nonAlias } }
}
