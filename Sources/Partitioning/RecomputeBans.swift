import AOTArtifacts
import GraphIR
import TensorCore

/// Which values are not recomputed, and why: by necessity, by tag, by policy.
struct RecomputeBans {
  private let joint: JointStructure
  private let policy: RecomputePolicy
  /// By position; nil where the value may be recomputed.
  private(set) var reasons: [SaveReason?]
  /// Whether one kernel can compute the value and its producers or users.
  private var isFusible: [Bool]

  /// Time is linear in the graph's size.
  init(_ joint: JointStructure, _ policy: RecomputePolicy) throws(GraphError) {
    self.joint = joint
    self.policy = policy
    reasons = [SaveReason?](repeating: nil, count: joint.nodes.count)
    isFusible = joint.nodes.indices.map { joint.isFusible($0) }
    for position in joint.nodes.indices { reasons[position] = necessity(position) }
    try banByOperator()
    if policy.savesMaterializedInBackward { banMaterializedInBackward() }
    if policy.savesUsedFarApart { banUsedFarApart() }
    if let limit = policy.longestFusibleChain { banLongChains(limit) }
  }

  private func necessity(_ position: Int) -> SaveReason? {
    if joint.isPlaceholder(position) { return .input }
    if let target = joint.target(position), !joint.isRepeatable(position) {
      return target.hasEffect ? .effect : .random
    }
    let tag = joint.tags[position]
    if tag == .mustSave || (tag == .preferSave && !joint.isView(position)) { return tag.map(SaveReason.tag) }
    return nil
  }

  /// Bans a value unless it is banned already, tagged, a view (which costs nothing) or a part of a tuple.
  private mutating func ban(_ position: Int, _ reason: SaveReason) {
    guard reasons[position] == nil, joint.tags[position] == nil, !joint.isView(position),
      let target = joint.target(position), target !== GetItem.shared
    else { return }
    reasons[position] = reason
  }

  private mutating func banByOperator() throws(GraphError) {
    for position in joint.nodes.indices where !joint.isBackward[position] && joint.isNeededByBackward[position] {
      guard let target = joint.target(position) else { continue }
      if policy.savesComputeBound, target.traits.contains(.computeBound) {
        ban(position, .computeBound)
      } else if target.traits.contains(.reduction) {
        if let ratio = policy.reductionRatio, try isSmall(position, ratio) { ban(position, .reduction) }
      } else if policy.savesUnclassified, target.traits.isDisjoint(with: [.pointwise, .factory]) {
        ban(position, .unclassified)
      }
    }
  }

  private func isSmall(_ position: Int, _ ratio: Int) throws(GraphError) -> Bool {
    var arguments = 0.0
    for input in joint.inputs[position] {
      arguments += Double(try joint.byteCount(of: joint.value(input), at: input))
    }
    return Double(try joint.byteCount(of: joint.value(position), at: position)) * Double(ratio) <= arguments
  }

  private func isFused(_ producer: Int, _ user: Int) -> Bool { isFusible[producer] && isFusible[user] }

  private mutating func banMaterializedInBackward() {
    var isMaterialized = [Bool](repeating: false, count: joint.nodes.count)
    for user in joint.nodes.indices.reversed() where joint.isNeededByBackward[user] {
      for input in joint.inputs[user] {
        let isRead = !joint.isForward[user] && !isFused(input, user)
        if isRead || (joint.isView(user) && isMaterialized[user]) { isMaterialized[input] = true }
      }
    }
    for position in joint.nodes.indices where isMaterialized[position] && !joint.isBackward[position] {
      ban(position, .materializedInBackward)
    }
  }

  private mutating func banUsedFarApart() {
    // The first operator that ends fusion, of those reached from a node through fusible ones.
    var fusionEnd = [Int](repeating: .max, count: joint.nodes.count)
    // The same over all uses of a node.
    var firstEnd = fusionEnd
    for user in joint.nodes.indices.reversed() where joint.isForward[user] {
      for input in joint.inputs[user] {
        fusionEnd[input] = min(fusionEnd[input], isFused(input, user) ? fusionEnd[user] : user)
        firstEnd[input] = min(firstEnd[input], fusionEnd[user])
      }
    }
    for user in joint.nodes.indices where joint.isForward[user] {
      if joint.inputs[user].contains(where: { user > firstEnd[$0] && isFused($0, user) }) { ban(user, .usedFarApart) }
    }
  }

  private mutating func banLongChains(_ limit: Int) {
    var length = [Int](repeating: 0, count: joint.nodes.count)
    for position in joint.nodes.indices where isFusible[position] && reasons[position] == nil {
      length[position] = 1 + (joint.inputs[position].map { length[$0] }.max() ?? 0)
      guard length[position] > limit, joint.isForward[position] else { continue }
      ban(position, .longChain)
      if reasons[position] != nil { length[position] = 0 }
    }
  }
}

extension JointStructure {
  fileprivate func isFusible(_ position: Int) -> Bool {
    guard let target = target(position), !target.hasEffect else { return false }
    if target === GetItem.shared || isView(position) { return true }
    return !target.traits.contains(.computeBound)
      && !target.traits.isDisjoint(with: [.pointwise, .reduction, .factory, .random])
  }
}
