import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Joins a compiled forward and backward graph to eager autograd: results of the forward graph that require gradients get a
/// history that runs the backward graph.
public struct AutogradJoin: RuntimeWrapper {
  public static let name = "autograd"

  private let plan: Plan

  /// What the wrapper needs at run time.
  struct Plan: Sendable {
    /// Primals that a gradient is wanted for.
    var differentiableInputs: [Int] = []
    /// Primals that the history leads to, though no gradient reaches them.
    var idleInputs: [Int] = []
    /// Of the differentiable ones that the function gives another shape without grad mode, the views that bring gradients into it.
    var changedShapes: [Int: [ViewStep]] = [:]
    let outputCount: Int
    /// Results that are the same value as an earlier one, and get another history.
    var repeatedOutputs: [Int] = []
    /// Results of the forward graph that require a gradient: those with a tangent first, in the tangents' order, then those
    /// from which nothing flows.
    var requiringOutputs: [Int]
    /// What gradients of them have to look like.
    var outputMetas: [TensorMeta]
    var tangentCount = 0
    /// Why eager autograd could not go back from one of them; nil where it could.
    var failures: [(any Error)?]
    /// nil where there are no tangents.
    var backward: (any CompiledBackward)?
    var differentiableBackward: DifferentiableBackward?
    /// Primals that are written to: what they were before is gone.
    var overwrittenInputs: Set<Int> = []
  }

  /// - Parameters:
  ///   - functional: What the joint graph was made of.
  ///   - kept: Those of some inputs that autograd keeps a use of.
  ///   - failures: Why eager autograd could not go back from a result; nil where it could.
  public init(
    _ functional: FunctionalGraph, _ joint: JointGraph, _ partition: Partition,
    keeping kept: ([Int]) throws -> [Int] = { _ in [] },
    failures: (ViewAndMutationMeta.Result) -> AutogradError?, backward: any CompiledBackward,
    differentiableBackward: DifferentiableBackward?
  ) throws {
    var plan = Self.plan(functional, failures, differentiable: joint.differentiableOutputs)
    let graph = joint.module.graph
    let inputs = graph.placeholders
    let gradients = (graph.result.elements ?? []).dropFirst(joint.forwardOutputCount)
    plan.differentiableInputs = gradients.enumerated().compactMap { $1.isNone ? nil : $0 }
    plan.idleInputs = try kept(functional.meta.inputs.indices.filter { !plan.differentiableInputs.contains($0) })
    for index in plan.differentiableInputs {
      guard let meta = graph[metadata: inputs[index]].tensor else { continue }
      let info = functional.meta.inputs[index]
      let isView = info.isView && !info.isLeaf
      let steps = isView || info.isUsedBeforeLayoutChange ? [] : try info.shapeChangesWithoutGrad(of: meta)
      if !steps.isEmpty { plan.changedShapes[index] = steps }
    }
    plan.tangentCount = joint.differentiableOutputs.count
    for (index, output) in joint.differentiableOutputs.enumerated() {
      plan.failures[index] = joint.failures[output] ?? plan.failures[index]
    }
    plan.backward = backward
    plan.differentiableBackward = differentiableBackward
    plan.overwrittenInputs = Set(
      functional.meta.inputs.indices.filter { functional.meta.inputs[$0].mutatesData })
    let tangents = inputs.dropFirst(joint.primalCount).compactMap { graph[$0].metadata.tensor }
    guard tangents.count == plan.tangentCount else {
      throw GraphError(.malformed, "a joint graph needs one tangent per differentiable output")
    }
    plan.outputMetas.replaceSubrange(..<plan.tangentCount, with: tangents)
    let outputs = partition.forward.result.elements?.prefix(plan.outputCount).map(\.reference) ?? []
    plan.repeatedOutputs = outputs.indices.filter { outputs[$0] != nil && outputs[..<$0].contains(outputs[$0]) }
    self.plan = plan
  }

  /// For a function whose results require gradients that reach no input; nil where there is nothing for autograd to see.
  ///
  /// - Parameter kept: Those of some inputs that autograd keeps a use of.
  public init?(
    _ functional: FunctionalGraph, keeping kept: ([Int]) throws -> [Int],
    failures: (ViewAndMutationMeta.Result) -> AutogradError?
  ) throws {
    var plan = Self.plan(functional, failures, differentiable: [])
    plan.idleInputs = try kept(Array(functional.meta.inputs.indices))
    if plan.requiringOutputs.isEmpty && plan.idleInputs.isEmpty { return nil }
    self.plan = plan
  }

  private static func plan(
    _ functional: FunctionalGraph, _ failures: (ViewAndMutationMeta.Result) -> AutogradError?, differentiable: [Int]
  ) -> Plan {
    let meta = functional.meta
    let results = meta.results
    let graph = functional.module.graph
    let requiring =
      differentiable + results.indices.filter { !differentiable.contains($0) && meta.hasHistory(results[$0]) }
    return Plan(
      outputCount: results.count, requiringOutputs: requiring,
      outputMetas: requiring.map { index in
        graph.result.elements?[index].reference.flatMap { graph[metadata: $0].tensor }
          ?? TensorMeta(dtype: .float32, sizes: [])
      },
      failures: requiring.map { failures(results[$0]) })
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { [plan] arguments in
      // Before anything is written: a write may leave a view whose history cannot be followed any more.
      var edges = try plan.differentiableInputs.map { try arguments[$0].gradientEdge() }
      for index in plan.idleInputs { edges.append(try arguments[index].gradientEdge()) }
      var results = try noGrad { try inner(arguments) }
      let primals = try plan.savedPrimals(arguments, edges)
      for index in plan.repeatedOutputs {
        results[index] = results[index].map { .reference(Tensor(sharingMemoryOf: $0)) }
      }
      let function = CompiledGradient(
        plan, saving: results.dropFirst(plan.outputCount), primals: primals,
        nextEdges: edges)
      for (index, output) in plan.requiringOutputs.enumerated() {
        results[output].reference?.setHistory(GradientEdge(function, inputIndex: index))
      }
      return Array(results.prefix(plan.outputCount))
    }
  }
}

extension AutogradJoin.Plan {
  /// A primal as a backward pass that is itself differentiated needs it.
  enum Primal {
    case saved(SavedTensor)
    case overwritten
  }

  /// - Parameter edges: The histories of the differentiable inputs, then of the idle ones.
  func savedPrimals(_ arguments: [Tensor], _ edges: [GradientEdge?]) throws -> [Primal] {
    guard differentiableBackward != nil else { return [] }
    var histories = [GradientEdge?](repeating: nil, count: arguments.count)
    for (input, edge) in zip(differentiableInputs, edges) { histories[input] = edge }
    return try SavedTensorHooks.with(nil) {
      try arguments.enumerated().map { index, tensor in
        if overwrittenInputs.contains(index) { return .overwritten }
        return .saved(try SavedTensor(tensor, history: histories[index].map { .edge($0) } ?? .none, savedBy: nil))
      }
    }
  }
}

/// The tape's node for a compiled backward graph.
private final class CompiledGradient: GradientFunction {
  private let plan: AutogradJoin.Plan
  private var saved: [(value: Value, version: Int)]
  private var primals: [AutogradJoin.Plan.Primal]
  private var isReleased = false

  init(
    _ plan: AutogradJoin.Plan, saving values: ArraySlice<Value>, primals: [AutogradJoin.Plan.Primal],
    nextEdges: [GradientEdge?]
  ) {
    self.plan = plan
    self.primals = primals
    // Memory is kept, not the tensors themselves: one that is also a result has this function as its history.
    saved = values.map { value in
      guard case .reference(let tensor) = value else { return (value, 0) }
      return (.reference(Tensor(sharingMemoryOf: tensor)), tensor.storage.version)
    }
    super.init(nextEdges: nextEdges, inputMetadata: plan.outputMetas)
  }

  override var name: String { "compiled function" }

  override func releaseSavedTensors() {
    isReleased = isReleased || !saved.isEmpty
    saved = []
    primals = []
  }

  override func apply(_ gradients: [Tensor?]) throws -> [Tensor?] { try apply(gradients, isLast: false) }

  override func applyForLastTime(_ gradients: [Tensor?]) throws -> [Tensor?] {
    let given = try apply(gradients, isLast: true)
    releaseSavedTensors()
    return given
  }

  private func apply(_ gradients: [Tensor?], isLast: Bool) throws -> [Tensor?] {
    for (gradient, failure) in zip(gradients, plan.failures) where gradient != nil { if let failure { throw failure } }
    let tangents = gradients.prefix(plan.tangentCount)
    guard let backward = plan.backward, tangents.contains(where: { $0 != nil }) else {
      return nextEdges.map { _ in nil }
    }
    guard !isReleased else { throw AutogradError.backwardTwice(nil) }
    if isGradEnabled { return try differentiably(tangents) }
    for (value, version) in saved {
      if let tensor = value.reference, tensor.storage.version != version {
        throw AutogradError(
          .modifiedInPlace,
          "a value that a compiled function saved for its gradient was changed in place: a \(tensor.dtype) tensor of shape "
            + "\(tensor.sizes) is at version \(tensor.storage.version), but was saved at version \(version); clone it first"
        )
      }
    }
    let values = saved.map(\.value)
    // Given up before the run, which may overwrite only what nobody else holds, and may fail halfway.
    if isLast { releaseSavedTensors() }
    let results = try backward.run(saved: consume values, tangents: Array(tangents), isLast: isLast)
    return try inChangedShapes(plan.differentiableInputs.map { results[$0].reference }) + idleGradients
  }

  private var idleGradients: [Tensor?] { Array(repeating: nil, count: plan.idleInputs.count) }

  /// The gradients as they arrive at inputs to which the function gave another shape that autograd did not see.
  private func inChangedShapes(_ gradients: [Tensor?]) throws -> [Tensor?] {
    if plan.changedShapes.isEmpty { return gradients }
    return try zip(plan.differentiableInputs, gradients).map { input, gradient in
      guard let gradient, let views = plan.changedShapes[input] else { return gradient }
      return try views.applied(to: gradient)
    }
  }

  /// The gradients as values that autograd can differentiate.
  private func differentiably(_ tangents: ArraySlice<Tensor?>) throws -> [Tensor?] {
    guard let backward = plan.differentiableBackward else {
      throw AutogradError(
        .notDifferentiable,
        "the gradient of a compiled function of wrapper subclasses cannot be differentiated; call it uncompiled for createGraph"
      )
    }
    let inputs = try primals.map { primal -> Tensor in
      switch primal {
      case .saved(let tensor): return try tensor.unpacked(by: self)
      case .overwritten:
        throw AutogradError(
          .modifiedInPlace,
          "the gradient of a compiled function that wrote to an argument cannot be differentiated: the argument is not what it was"
        )
      }
    }
    let arguments = try zip(tangents, plan.outputMetas).map { try $1.tangent($0) }
    return try inChangedShapes(backward(inputs + arguments).map(\.reference)) + idleGradients
  }
}

extension ViewAndMutationMeta.InputInfo {
  /// The views that lead to another shape among the layout changes that autograd did not see. Where the shape stays, the
  /// functional graph itself leads gradients to the elements at the same indices.
  fileprivate func shapeChangesWithoutGrad(of meta: TensorMeta) throws -> [ViewStep] {
    var tensor = try Tensor(fake: meta)
    return try layoutChanges.filter { step in
      let source = tensor
      tensor = try step.applied(to: source)
      return step.isWithoutGrad && tensor.sizes != source.sizes
    }.map { ViewStep(target: $0.target, arguments: $0.arguments) }
  }
}
