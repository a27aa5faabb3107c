import TensorCore

extension Graph {
  /// Copies one node of another graph to the insertion point, with its metadata and, where it is free, its name.
  ///
  /// - Parameter mapping: What stands here for each node that the copied one uses.
  /// - Precondition: The node is not an output.
  @discardableResult
  public mutating func copyNode<Failure: Error>(
    _ id: NodeID, from other: Graph, mapping: (NodeID) throws(Failure) -> GraphArgument
  ) throws(Failure) -> NodeID {
    let node = other[id]
    switch node.kind {
    case .placeholder: return placeholder(node.name, metadata: node.metadata)
    case .getAttribute(let path): return getAttribute(path, name: node.name, metadata: node.metadata)
    case .callFunction(let target):
      var arguments: [GraphArgument] = []
      arguments.reserveCapacity(node.arguments.count)
      for argument in node.arguments { arguments.append(try argument.map(mapping)) }
      var keywords: [KeywordArgument] = []
      for keyword in node.keywordArguments {
        keywords.append(KeywordArgument(keyword.name, try keyword.value.map(mapping)))
      }
      return call(target, arguments, keywords, name: node.name, metadata: node.metadata)
    case .output: preconditionFailure("an output is set, not copied")
    }
  }

  /// Copies nodes of another graph, in the order given, to the insertion point.
  ///
  /// - Parameter mapping: What stands here for nodes of the other graph; each copied node is added to it. Nodes that it has
  ///   already are not copied.
  /// - Throws: `GraphError` with code `invalidArgument` for a node that uses one neither mapped nor copied before it, and for
  ///   an output.
  public mutating func copyNodes(
    from other: Graph, _ ids: some Sequence<NodeID>, mapping: inout NodeMap<GraphArgument>
  ) throws(GraphError) {
    for id in ids where mapping[id] == nil {
      if other[id].isOutput {
        throw GraphError(.invalidArgument, "an output cannot be copied into another graph", node: other[id].name)
      }
      let copy = try copyNode(id, from: other) { (input: NodeID) throws(GraphError) -> GraphArgument in
        guard let argument = mapping[input] else {
          throw GraphError(
            .invalidArgument, "uses '\(other[input].name)', which is not among the nodes copied before it",
            node: other[id].name)
        }
        return argument
      }
      mapping[id] = .reference(copy)
    }
  }

  /// Copies the body of another graph to the insertion point, with arguments in the place of its inputs.
  ///
  /// - Parameter attributePrefix: What to put before the paths of the attributes that the body reads.
  /// - Returns: What the other graph returns, in terms of this one.
  /// - Throws: `GraphError` where the number of arguments is not that of the inputs; this graph is unchanged then.
  public mutating func inline(
    _ other: Graph, arguments: [GraphArgument], attributePrefix: String = ""
  ) throws(GraphError) -> GraphArgument {
    let nodes = other.nodes
    let inputs = nodes.filter { other[$0].isPlaceholder }
    guard inputs.count == arguments.count else {
      throw GraphError(
        .invalidArgument, "the inlined graph has \(inputs.count) inputs, got \(arguments.count) arguments")
    }
    try other.requireDefinitionsBeforeUses()
    var mapping = NodeMap<GraphArgument>(for: other)
    for (input, argument) in zip(inputs, arguments) { mapping[input] = argument }
    for id in nodes where mapping[id] == nil && !other[id].isOutput {
      if case .getAttribute(let path) = other[id].kind {
        let copy = getAttribute(attributePrefix + path, name: other[id].name, metadata: other[id].metadata)
        mapping[id] = .reference(copy)
      } else {
        try copyNodes(from: other, CollectionOfOne(id), mapping: &mapping)
      }
    }
    return other.result.map { (id: NodeID) -> GraphArgument in mapping[id] ?? .none }
  }

  /// - Throws: `GraphError` with code `malformed` for the first node that uses one which stands after it.
  func requireDefinitionsBeforeUses() throws(GraphError) {
    var isDefined = NodeMap<Bool>(for: self)
    for id in nodes {
      if let late = inputs(of: id).first(where: { isDefined[$0] == nil }) {
        throw GraphError(.malformed, "uses '\(self[late].name)' before it is defined", node: self[id].name)
      }
      isDefined[id] = true
    }
  }

  /// Makes every user of a node, or those chosen, use an argument in its place. Users that pick an element of a list or tuple
  /// give way to it.
  public mutating func replaceAllUses(
    of old: NodeID, with argument: GraphArgument, where shouldReplace: (NodeID) -> Bool = { _ in true }
  ) {
    if let new = argument.reference {
      replaceAllUses(of: old, with: new, where: shouldReplace)
      return
    }
    for user in users(of: old) where shouldReplace(user) {
      if let elements = argument.elements, let index = getItemIndex(of: user), elements.indices.contains(index) {
        replaceAllUses(of: user, with: elements[index], where: shouldReplace)
        if !hasUsers(user) { try? erase(user) }
      } else {
        replaceInput(of: user, old, with: argument)
      }
    }
  }

  /// Which element this node picks, where it is a call of `operator.getitem`.
  public func getItemIndex(of id: NodeID) -> Int? {
    let node = self[id]
    guard node.calls(GetItem.shared), node.arguments.count == 2, case .int(let index) = node.arguments[1] else {
      return nil
    }
    return index.value
  }

  /// The nodes between inputs and outputs as a graph of its own, which returns the outputs as a tuple.
  ///
  /// - Parameters:
  ///   - inputs: Nodes whose values the new graph is given; they become its placeholders, in this order.
  ///   - outputs: Nodes whose values it returns.
  /// - Throws: `GraphError` with code `invalidArgument` where an output depends on a graph input that is not among `inputs`, or
  ///   where a call that would be left out writes to memory that the extracted nodes read.
  public func extract(inputs: [NodeID], outputs: [NodeID]) throws(GraphError) -> Graph {
    var result = Graph()
    var mapping = NodeMap<GraphArgument>(for: self)
    for input in inputs {
      mapping[input] = .reference(result.placeholder(self[input].name, metadata: self[input].metadata))
    }
    var isNeeded = NodeMap<Bool>(for: self)
    var pending = outputs
    while let id = pending.popLast() {
      if mapping[id] != nil || isNeeded[id] != nil { continue }
      guard !self[id].isPlaceholder else {
        throw GraphError(.invalidArgument, "an extracted node depends on this graph input", node: self[id].name)
      }
      isNeeded[id] = true
      pending += self.inputs(of: id)
    }
    try requireNoLostWrites(isNeeded, inputs: inputs)
    try result.copyNodes(from: self, nodes.filter { isNeeded[$0] != nil }, mapping: &mapping)
    result.output(.tuple(outputs.map { mapping[$0] ?? .none }))
    return result
  }

  private func requireNoLostWrites(_ isNeeded: NodeMap<Bool>, inputs: [NodeID]) throws(GraphError) {
    let aliases = AliasAnalysis(self)
    guard aliases.hasWrites else { return }
    let read = Set(nodes.filter { isNeeded[$0] != nil || inputs.contains($0) }.map { aliases.memory(of: $0) })
    for id in nodes where isNeeded[id] == nil && !aliases.memoryWritten(by: id).isDisjoint(with: read) {
      throw GraphError(
        .invalidArgument, "writes to memory of extracted nodes without being one of them", node: self[id].name)
    }
  }
}
