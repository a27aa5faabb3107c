import AOTArtifacts
import GraphIR
import TensorCore

extension Partition {
  /// Checks that the halves fit each other and the joint graph: what the backward graph takes is saved or a tangent, what it
  /// takes up is what the forward graph hands on, and neither computes anything it must not.
  ///
  /// - Throws: `GraphError` naming the first node that breaks a rule.
  public func verify(against joint: Graph) throws(GraphError) {
    func isTangent(_ metadata: NodeMetadata) -> Bool { if case .tangent = metadata.descriptor { true } else { false } }
    func names(_ graph: Graph, _ ids: [NodeID]) -> [String] { ids.map { graph[$0].name } }
    let saved = (savedTensors + savedNumbers).map(\.name)
    let primals = joint.placeholders.filter { !isTangent(joint[$0].metadata) }
    let tangents = joint.placeholders.filter { isTangent(joint[$0].metadata) }
    guard names(forward, forward.placeholders) == names(joint, primals) else {
      throw GraphError(.malformed, "the forward graph does not take the primals of the joint graph")
    }
    guard names(backward, backward.placeholders) == saved + names(joint, tangents) else {
      throw GraphError(.malformed, "the backward graph does not take the saved values and the tangents")
    }
    let returned = forward.result.elements ?? []
    let handed = returned.dropFirst(forwardOutputCount).map { $0.reference.map { forward[$0].name } }
    guard returned.count == forwardOutputCount + saved.count, handed == saved else {
      throw GraphError(.malformed, "the forward graph does not return its outputs and the saved values")
    }
    guard backward.result.elements?.count == (joint.result.elements?.count ?? 0) - forwardOutputCount else {
      throw GraphError(.malformed, "the backward graph does not return the gradients")
    }
    for value in recomputed {
      guard let id = backward.node(named: value.name), forward.node(named: value.name) != nil else {
        throw GraphError(.malformed, "is not in both halves though it is recomputed", node: value.name)
      }
      if let target = backward[id].target, !target.isPure {
        throw GraphError(.malformed, "'\(target.name)' must not run twice", node: value.name)
      }
    }
    for id in joint.nodes where joint[id].target?.hasEffect == true {
      let name = joint[id].name
      let calls = [forward, backward].count { half in half.node(named: name).map { half[$0].target != nil } ?? false }
      guard calls == 1 else {
        throw GraphError(.malformed, "has an effect and is called \(calls) times", node: name)
      }
    }
  }
}
