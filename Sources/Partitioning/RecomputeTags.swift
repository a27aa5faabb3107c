import GraphIR

/// What the tags on a joint graph's nodes mean to the partitioners, by position.
struct RecomputeTags {
  private(set) var tags: [RecomputeTag?]

  init(_ nodes: [Node], inputs: [[Int]]) {
    tags = nodes.map { $0.isPlaceholder ? nil : $0.metadata.recompute }
    for (position, node) in nodes.enumerated() {
      if node.target === GetItem.shared, let sequence = inputs[position].first {
        // A part of a tuple has the tuple's tag unless it has its own.
        let isDoneOnce = nodes[sequence].target?.hasEffect == true
        tags[position] = isDoneOnce ? tags[sequence] : tags[position] ?? tags[sequence]
      } else if node.target?.hasEffect == true, tags[position] != nil {
        // Effects happen once, whatever the region around them says.
        tags[position] = .mustSave
      }
    }
    saveBetweenRegions(nodes, inputs)
  }

  /// A value that one region gives to a later one is saved: recomputing the later one would otherwise recompute the earlier as well.
  private mutating func saveBetweenRegions(_ nodes: [Node], _ inputs: [[Int]]) {
    let recomputed = tags
    for (user, node) in nodes.enumerated() where recomputed[user] == .mustRecompute && !node.metadata.isBackward {
      guard let region = node.metadata.recomputeRegion else { continue }
      for input in inputs[user] where recomputed[input] == .mustRecompute {
        if let other = nodes[input].metadata.recomputeRegion, other < region { tags[input] = .mustSave }
      }
    }
  }
}
