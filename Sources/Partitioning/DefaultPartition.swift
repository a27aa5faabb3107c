import AOTArtifacts
import GraphIR

/// Splits a joint graph as eager execution would: what the user wrote runs forward, and what backward uses of it is saved.
///
/// The forward graph computes all that depends on no tangent and is not part of a derivative (`NodeMetadata.isBackward`),
/// unless a forward output needs it. Nothing is recomputed but views, which cost nothing: what they are views of is saved; and
/// what is tagged `mustRecompute`.
public struct DefaultPartition: Partitioner {
  public let name = "default"

  public init() {}

  public func partition(_ joint: JointGraph) throws -> Partition {
    try partition(joint.module.graph, forwardOutputCount: joint.forwardOutputCount)
  }

  /// - Parameters:
  ///   - joint: A graph whose inputs have descriptors, those of tangents `.tangent(of:)`, and which returns one tuple of the
  ///     forward outputs and then the gradients. Every node that the backward pass needs has metadata.
  ///   - forwardOutputCount: The number of forward outputs.
  /// - Throws: `GraphError` where the graph is no joint graph, or where the backward pass uses a value that cannot be saved.
  public func partition(_ joint: Graph, forwardOutputCount: Int) throws(GraphError) -> Partition {
    let joint = try JointStructure(joint, forwardOutputCount: forwardOutputCount)
    let runsForward = Self.forwardNodes(joint)
    var isUsed = joint.isReadByBackward
    for position in joint.nodes.indices where joint.isNeededByBackward[position] && !runsForward[position] {
      for input in joint.inputs[position] { isUsed[input] = true }
    }
    var saved: [Int] = []
    for position in joint.nodes.indices.reversed() where isUsed[position] && runsForward[position] {
      if case .getAttribute = joint[position].kind { continue }
      let tag = joint.tags[position]
      if tag == .mustRecompute || (joint.isView(position) && tag != .mustSave) {
        for input in joint.inputs[position] { isUsed[input] = true }
        continue
      }
      if let obstacle = try joint.obstacleToSaving(position) {
        throw joint.error("the backward pass needs this value, which cannot be saved: \(obstacle)", at: position)
      }
      saved.append(position)
    }
    return try JointSplitter(joint, saved: saved.reversed()).split {
      joint.isPlaceholder($0) ? .input : .used
    }
  }

  /// Where each node runs, by position. A part of a tuple runs where the tuple does: the tuple itself cannot be saved.
  private static func forwardNodes(_ joint: JointStructure) -> [Bool] {
    var runsForward = joint.isForward
    for position in joint.nodes.indices where !joint.isBackward[position] {
      if joint.target(position) === GetItem.shared, let sequence = joint.inputs[position].first {
        runsForward[position] = runsForward[sequence]
      } else if !joint[position].metadata.isBackward {
        runsForward[position] = true
      }
    }
    return runsForward
  }
}
