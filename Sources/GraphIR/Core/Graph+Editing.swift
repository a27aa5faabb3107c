import TensorCore

extension Graph {
  /// Adds a graph input.
  @discardableResult
  public mutating func placeholder(_ name: String, metadata: NodeMetadata = .init()) -> NodeID {
    insert(.placeholder, name: name, arguments: [], keywordArguments: [], metadata: metadata)
  }

  /// Adds a read of something the graph's module holds.
  @discardableResult
  public mutating func getAttribute(_ path: String, name: String? = nil, metadata: NodeMetadata = .init()) -> NodeID {
    insert(
      .getAttribute(path), name: name ?? path.replacing(".", with: "_"), arguments: [], keywordArguments: [],
      metadata: metadata)
  }

  /// Adds a call. The name is made unique; without one it is the operator's.
  ///
  /// - Precondition: Every node among the arguments belongs to this graph.
  @discardableResult
  public mutating func call(
    _ target: any Operator, _ arguments: [GraphArgument], _ keywordArguments: [KeywordArgument] = [],
    name: String? = nil, metadata: NodeMetadata = .init()
  ) -> NodeID {
    insert(
      .callFunction(target), name: name ?? target.name.base, arguments: arguments, keywordArguments: keywordArguments,
      metadata: metadata)
  }

  /// Adds `operator.getitem(sequence, index)`, with the metadata of that element.
  @discardableResult
  public mutating func getItem(_ sequence: NodeID, _ index: Int, name: String? = nil, metadata: NodeMetadata? = nil)
    -> NodeID
  {
    var itemMetadata = metadata ?? self[metadata: sequence]
    if metadata == nil {
      itemMetadata.value = itemMetadata.value?.elements.flatMap { $0.indices.contains(index) ? $0[index] : nil }
    }
    return call(GetItem.shared, [.reference(sequence), .int(SymInt(index))], name: name, metadata: itemMetadata)
  }

  /// Adds the output.
  ///
  /// - Precondition: The graph has no output yet.
  @discardableResult
  public mutating func output(_ result: GraphArgument, descriptors: [Descriptor] = []) -> NodeID {
    precondition(output == nil, "a graph has one output")
    outputDescriptors = descriptors
    let id = insert(.output, name: "output", arguments: [result], keywordArguments: [], metadata: .init())
    outputNode = id.index
    return id
  }

  /// Replaces what the graph returns.
  public mutating func setOutput(_ result: GraphArgument, descriptors: [Descriptor] = []) {
    guard let output else {
      inserting(.end) { _ = $0.output(result, descriptors: descriptors) }
      return
    }
    setArguments(of: output, [result])
    outputDescriptors = descriptors
  }

  private mutating func insert(
    _ kind: Node.Kind, name: String, arguments: [GraphArgument], keywordArguments: [KeywordArgument],
    metadata: NodeMetadata
  ) -> NodeID {
    let id = NodeID(storage.count)
    let unique = names.claim(name, for: id)
    storage.append(
      Node(kind: kind, name: unique, arguments: arguments, keywordArguments: keywordArguments, metadata: metadata))
    addUses(by: id)
    link(id, at: insertionPoint)
    count += 1
    if case .after = insertionPoint { insertionPoint = .after(id) }
    return id
  }

  /// Runs `body` with new nodes going to another place, then restores the insertion point.
  public mutating func inserting<Result, Failure: Error>(
    _ point: InsertionPoint, _ body: (inout Graph) throws(Failure) -> Result
  ) throws(Failure)
    -> Result
  {
    let saved = insertionPoint
    insertionPoint = point
    defer { insertionPoint = standing(saved) }
    return try body(&self)
  }

  /// A place in the order, moved off a node that has been erased to where that node was.
  private func standing(_ point: InsertionPoint) -> InsertionPoint {
    switch point {
    case .end: return .end
    case .before(let id):
      // An erased node keeps its links, so they lead to the nodes that stood beside it.
      var node: NodeID? = id
      while let erased = node, !contains(erased) { node = next(erased) }
      return node.map { .before($0) } ?? .end
    case .after(let id):
      var node: NodeID? = id
      while let erased = node, !contains(erased) { node = previous(erased) }
      return node.map { .after($0) } ?? Self.id(firstNode).map { .before($0) } ?? .end
    }
  }

  /// Removes a node that nothing uses.
  ///
  /// - Throws: `GraphError` with code `hasUsers`, naming them; the graph is unchanged then.
  public mutating func erase(_ id: NodeID) throws(GraphError) {
    guard contains(id) else { throw GraphError(.invalidArgument, "\(id) is not a node of this graph") }
    let node = storage[id.position]
    guard node.userCount == 0 else {
      let names = users(of: id).prefix(4).map { "'\(self[$0].name)'" }.joined(separator: ", ")
      throw GraphError(.hasUsers, "cannot be erased: used by \(names)", node: node.name)
    }
    removeUses(by: id)
    unlink(id)
    names.release(node.name)
    if outputNode == id.index { outputNode = Node.absent }
    storage[id.position].isErased = true
    storage[id.position].arguments = []
    storage[id.position].keywordArguments = []
    count -= 1
    insertionPoint = standing(insertionPoint)
  }

  /// Moves a node to another place in the order.
  public mutating func move(_ id: NodeID, to point: InsertionPoint) {
    if point == .before(id) || point == .after(id) { return }
    unlink(id)
    link(id, at: point)
  }

  public mutating func setArguments(
    of id: NodeID, _ arguments: [GraphArgument], _ keywordArguments: [KeywordArgument] = []
  ) {
    removeUses(by: id)
    storage[id.position].arguments = arguments
    storage[id.position].keywordArguments = keywordArguments
    addUses(by: id)
  }

  /// Makes every user of a node, or those chosen, use another in its place; the other one may use the first itself.
  ///
  /// - Returns: The users that changed.
  @discardableResult
  public mutating func replaceAllUses(
    of old: NodeID, with new: NodeID, where shouldReplace: (NodeID) -> Bool = { _ in true }
  ) -> [NodeID] {
    guard old != new else { return [] }
    let changed = users(of: old).filter { $0 != new && shouldReplace($0) }
    for user in changed { replaceInput(of: user, old, with: .reference(new)) }
    return changed
  }

  /// Replaces one node among a user's arguments by another argument, however deep it is nested.
  public mutating func replaceInput(of user: NodeID, _ old: NodeID, with new: GraphArgument) {
    func replaced(_ argument: GraphArgument) -> GraphArgument {
      argument.map { (id: NodeID) -> GraphArgument in id == old ? new : .reference(id) }
    }
    let node = storage[user.position]
    setArguments(
      of: user, node.arguments.map(replaced), node.keywordArguments.map { KeywordArgument($0.name, replaced($0.value)) }
    )
  }

  /// Renames a node; the name is made unique.
  public mutating func rename(_ id: NodeID, to name: String) {
    names.release(storage[id.position].name)
    storage[id.position].name = names.claim(name, for: id)
  }
}

// MARK: - Links

extension Graph {
  private mutating func link(_ id: NodeID, at point: InsertionPoint) {
    let before: UInt32
    let after: UInt32
    switch point {
    case .end: (before, after) = (lastNode, Node.absent)
    case .before(let other): (before, after) = (storage[other.position].previous, other.index)
    case .after(let other): (before, after) = (other.index, storage[other.position].next)
    }
    storage[id.position].previous = before
    storage[id.position].next = after
    if before == Node.absent { firstNode = id.index } else { storage[Int(before)].next = id.index }
    if after == Node.absent { lastNode = id.index } else { storage[Int(after)].previous = id.index }
  }

  private mutating func unlink(_ id: NodeID) {
    let (before, after) = (storage[id.position].previous, storage[id.position].next)
    if before == Node.absent { firstNode = after } else { storage[Int(before)].next = after }
    if after == Node.absent { lastNode = before } else { storage[Int(after)].previous = before }
  }

  mutating func addUses(by id: NodeID) {
    for argument in storage[id.position].arguments { argument.forEachReference { addUse(of: $0, by: id) } }
    for keyword in storage[id.position].keywordArguments { keyword.value.forEachReference { addUse(of: $0, by: id) } }
  }

  private mutating func addUse(of definition: NodeID, by user: NodeID) {
    precondition(contains(definition), "\(definition) is not a node of this graph")
    // The newest edge of the definition tells whether this user has one: a node's uses are added in one go.
    let last = storage[definition.position].lastUserEdge
    if last != Node.absent, edges[Int(last)].user == user.index { return }
    let edge: UInt32
    let record = Edge(user: user.index, definition: definition.index, previous: last, next: Node.absent)
    if freeEdge != Node.absent {
      edge = freeEdge
      freeEdge = edges[Int(edge)].next
      edges[Int(edge)] = record
    } else {
      edge = UInt32(edges.count)
      edges.append(record)
    }
    if last == Node.absent {
      storage[definition.position].firstUserEdge = edge
    } else {
      edges[Int(last)].next = edge
    }
    storage[definition.position].lastUserEdge = edge
    storage[definition.position].userCount += 1
    storage[user.position].inputEdges.append(edge)
  }

  private mutating func removeUses(by id: NodeID) {
    for edge in storage[id.position].inputEdges {
      let record = edges[Int(edge)]
      let definition = Int(record.definition)
      if record.previous == Node.absent {
        storage[definition].firstUserEdge = record.next
      } else {
        edges[Int(record.previous)].next = record.next
      }
      if record.next == Node.absent {
        storage[definition].lastUserEdge = record.previous
      } else {
        edges[Int(record.next)].previous = record.previous
      }
      storage[definition].userCount -= 1
      edges[Int(edge)].next = freeEdge
      freeEdge = edge
    }
    storage[id.position].inputEdges = []
  }
}
