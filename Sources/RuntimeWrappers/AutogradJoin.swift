import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Joins a compiled forward and backward graph to eager autograd: the forward graph's differentiable results get a history
/// that runs the backward graph.
public struct AutogradJoin: RuntimeWrapper {
  public static let name = "autograd"

  private let plan: Plan

  /// What the wrapper needs at run time.
  struct Plan: Sendable {
    /// Primals that a gradient is wanted for.
    let differentiableInputs: [Int]
    let outputCount: Int
    /// Results of the forward graph that have a tangent.
    let differentiableOutputs: [Int]
    let tangents: [TensorMeta]
    let backward: any CompiledBackward
  }

  public init(_ joint: JointGraph, _ partition: Partition, backward: any CompiledBackward) throws {
    let graph = joint.module.graph
    let inputs = graph.placeholders
    let gradients = (graph.result.elements ?? []).dropFirst(joint.forwardOutputCount)
    plan = Plan(
      differentiableInputs: gradients.enumerated().compactMap { $1.isNone ? nil : $0 },
      outputCount: joint.forwardOutputCount, differentiableOutputs: joint.differentiableOutputs,
      tangents: inputs.dropFirst(joint.primalCount).compactMap { graph[$0].metadata.tensor }, backward: backward)
    guard plan.tangents.count == plan.differentiableOutputs.count else {
      throw GraphError(.malformed, "a joint graph needs one tangent per differentiable output")
    }
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { [plan] arguments in
      // Before anything is written: a write may leave a view whose history cannot be followed any more.
      let edges = try plan.differentiableInputs.map { try arguments[$0].reference?.gradientEdge() }
      let results = try noGrad { try inner(arguments) }
      let function = CompiledGradient(plan, saving: results.dropFirst(plan.outputCount), nextEdges: edges)
      for (index, output) in plan.differentiableOutputs.enumerated() {
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
      return (.reference(Tensor(sharingMemoryOf: tensor)), tensor.storage.version)
    }
    super.init(nextEdges: nextEdges, inputMetadata: plan.tangents)
  }

  override var name: String { "compiled function" }

  override func releaseSavedTensors() {
    isReleased = !saved.isEmpty
    saved = []
  }

  override func apply(_ gradients: [Tensor?]) throws -> [Tensor?] {
    guard gradients.contains(where: { $0 != nil }) else { return nextEdges.map { _ in nil } }
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
    let results = try plan.backward.run(saved: saved.map(\.value), tangents: gradients)
    return plan.differentiableInputs.map { results[$0].reference }
  }
}
