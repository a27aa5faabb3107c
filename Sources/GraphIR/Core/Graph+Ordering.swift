extension Graph {
  /// Puts definitions before uses: inputs first, the output last, and everything else as near its place as that allows.
  ///
  /// - Returns: Whether anything moved.
  /// - Throws: `GraphError` with code `malformed` where nodes use each other in a circle; the graph is unchanged then.
  @discardableResult
  public mutating func sortTopologically() throws(GraphError) -> Bool {
    let before = nodes
    var order = before.filter { self[$0].isPlaceholder }
    var state = NodeMap<Bool>(for: self)  // false while a node's inputs are being placed, true once it is placed
    for id in order { state[id] = true }
    for root in before where state[root] == nil && !self[root].isOutput { try place(root, &order, &state) }
    for root in before where state[root] == nil { try place(root, &order, &state) }
    if order == before { return false }
    relink(order)
    return true
  }

  /// Appends a node after the nodes it needs, without recursion: chains are as long as graphs.
  private func place(_ root: NodeID, _ order: inout [NodeID], _ state: inout NodeMap<Bool>) throws(GraphError) {
    var stack = [root]
    while let id = stack.last {
      if state[id] == nil {
        state[id] = false
        for input in inputs(of: id).reversed() {
          if state[input] == false {
            throw GraphError(.malformed, "depends on itself by way of '\(self[input].name)'", node: self[id].name)
          }
          if state[input] == nil { stack.append(input) }
        }
      } else {
        stack.removeLast()
        if state[id] == false {
          state[id] = true
          order.append(id)
        }
      }
    }
  }

  private mutating func relink(_ order: [NodeID]) {
    firstNode = order.first?.index ?? Node.absent
    lastNode = order.last?.index ?? Node.absent
    for (position, id) in order.enumerated() {
      storage[id.position].previous = position > 0 ? order[position - 1].index : Node.absent
      storage[id.position].next = position + 1 < order.count ? order[position + 1].index : Node.absent
    }
  }

  /// The same graph without the room that erased nodes leave, its nodes numbered in order.
  ///
  /// - Returns: The graph, and where each node went.
  public func compacted() -> (graph: Graph, mapping: NodeMap<NodeID>) {
    var result = Graph()
    var mapping = NodeMap<NodeID>(for: self)
    let order = nodes
    result.storage.reserveCapacity(order.count)
    for (position, id) in order.enumerated() { mapping[id] = NodeID(position) }
    func moved(_ argument: GraphArgument) -> GraphArgument {
      argument.map { (id: NodeID) -> GraphArgument in .reference(mapping[id] ?? id) }
    }
    for id in order {
      let node = self[id]
      // Uses are added once all nodes exist: a graph out of order is compacted as it is.
      var copy = Node(
        kind: node.kind, name: node.name, arguments: node.arguments.map(moved),
        keywordArguments: node.keywordArguments.map { KeywordArgument($0.name, moved($0.value)) },
        metadata: node.metadata)
      copy.name = result.names.claim(node.name, for: NodeID(result.storage.count))
      result.storage.append(copy)
    }
    result.count = order.count
    result.relink(order.indices.map { NodeID($0) })
    for id in result.nodes { result.addUses(by: id) }
    result.outputNode = output.flatMap { mapping[$0]?.index } ?? Node.absent
    result.outputDescriptors = outputDescriptors
    return (result, mapping)
  }
}
