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
    let outputCount: Int
    /// Results of the forward graph that require a gradient: those with a tangent first, in the tangents' order, then those
    /// from which nothing flows.
    var requiringOutputs: [Int]
    /// What gradients of them have to look like.
    var outputMetas: [TensorMeta]
    var tangentCount = 0
    /// Why eager autograd could not go back from one of them; nil where it could.
    var failures: [AutogradError?]
    /// nil where there are no tangents.
    var backward: LazyBackward?
  }

  /// - Parameter functional: What the joint graph was made of.
  public init(
    _ capture: AOTGraphCapture, _ functional: FunctionalGraph, _ joint: JointGraph, _ partition: Partition,
    backward: LazyBackward
  ) throws {
    var plan = Self.plan(capture, functional, differentiable: joint.differentiableOutputs)
    let graph = joint.module.graph
    let inputs = graph.placeholders
    let gradients = (graph.result.elements ?? []).dropFirst(joint.forwardOutputCount)
    plan.differentiableInputs = gradients.enumerated().compactMap { $1.isNone ? nil : $0 }
    plan.tangentCount = joint.differentiableOutputs.count
    plan.backward = backward
    let tangents = inputs.dropFirst(joint.primalCount).compactMap { graph[$0].metadata.tensor }
    guard tangents.count == plan.tangentCount else {
      throw GraphError(.malformed, "a joint graph needs one tangent per differentiable output")
    }
    plan.outputMetas.replaceSubrange(..<plan.tangentCount, with: tangents)
    self.plan = plan
  }

  /// For a function whose results require gradients that reach no input; nil where none does.
  public init?(_ capture: AOTGraphCapture, _ functional: FunctionalGraph) {
    plan = Self.plan(capture, functional, differentiable: [])
    if plan.requiringOutputs.isEmpty { return nil }
  }

  private static func plan(
    _ capture: AOTGraphCapture, _ functional: FunctionalGraph, differentiable: [Int]
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
      failures: requiring.map { capture.failure(of: results[$0], meta) })
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { [plan] arguments in
      // Before anything is written: a write may leave a view whose history cannot be followed any more.
      let edges = try plan.differentiableInputs.map { try arguments[$0].reference?.gradientEdge() }
      let results = try noGrad { try inner(arguments) }
      let function = CompiledGradient(plan, saving: results.dropFirst(plan.outputCount), nextEdges: edges)
      for (index, output) in plan.requiringOutputs.enumerated() {
        results[output].reference?.setHistory(GradientEdge(function, inputIndex: index))
      }
      return Array(results.prefix(plan.outputCount))
    }
  }
}

/// The tape's node for a compiled backward graph.
private final class CompiledGradient: GradientFunction {
  private let plan: AutogradJoin.Plan
  private var saved: [(value: Value, version: Int)]
  private var isReleased = false

  init(_ plan: AutogradJoin.Plan, saving values: ArraySlice<Value>, nextEdges: [GradientEdge?]) {
    self.plan = plan
    // Memory is kept, not the tensors themselves: one that is also a result has this function as its history.
    saved = values.map { value in
      guard case .reference(let tensor) = value else { return (value, 0) }
      let memory = Tensor(unchecked: tensor.storage, layout: tensor.layout, dtype: tensor.dtype)
      return (.reference(memory), tensor.storage.version)
    }
    super.init(nextEdges: nextEdges, inputMetadata: plan.outputMetas)
  }

  override var name: String { "compiled function" }

  override func releaseSavedTensors() {
    isReleased = !saved.isEmpty
    saved = []
  }

  override func apply(_ gradients: [Tensor?]) throws -> [Tensor?] {
    for (gradient, failure) in zip(gradients, plan.failures) where gradient != nil { if let failure { throw failure } }
    let tangents = gradients.prefix(plan.tangentCount)
    guard let backward = plan.backward, tangents.contains(where: { $0 != nil }) else { return nextEdges.map { _ in nil } }
    guard !isReleased else { throw AutogradError.backwardTwice(nil) }
    guard !isGradEnabled else {
      throw AutogradError(
        .notDifferentiable,
        "the gradient of a compiled function cannot itself be differentiated yet; call the function uncompiled for createGraph"
      )
    }
    for (value, version) in saved {
      if let tensor = value.reference, tensor.storage.version != version {
        throw AutogradError(
          .modifiedInPlace,
          "a value that a compiled function saved for its gradient was changed in place: a \(tensor.dtype) tensor of shape "
            + "\(tensor.sizes) is at version \(tensor.storage.version), but was saved at version \(version); clone it first"
        )
      }
    }
    let arguments = try zip(tangents, plan.outputMetas).map { try Value.reference(Self.tangent($0, $1)) }
    let results = try backward.compiled().run(saved.map(\.value) + arguments)
    return plan.differentiableInputs.map { results[$0].reference }
  }

  /// A gradient in the layout that the backward graph was compiled for; zeros where none arrived.
  private static func tangent(_ gradient: Tensor?, _ meta: TensorMeta) throws -> Tensor {
    if let gradient, gradient.layout == meta.layout, gradient.dtype == meta.dtype { return gradient }
    let tangent = try Tensor(uninitialized: meta.layout, dtype: meta.dtype, device: meta.device)
    return try gradient.map { try tangent.copy_($0) } ?? tangent.zero_()
  }
}
