/// A program of operator calls in execution order, in the manner of FX.
///
/// A value type: copying is cheap, and a stage keeps the graph it was given while it edits a copy. Inside, nodes stand in an
/// array linked by index; users are linked edges, so inserting, erasing, moving and rewiring cost time in the size of the
/// change, not of the graph. Every editing method keeps users exact.
public struct Graph: Sendable {
  var storage: [Node] = []
  var edges: [Edge] = []
  var freeEdge = Node.absent
  var firstNode = Node.absent
  var lastNode = Node.absent
  var outputNode = Node.absent
  var names = NameTable()
  /// The number of nodes, erased ones left out.
  public internal(set) var count = 0

  /// Where new nodes go.
  public var insertionPoint = InsertionPoint.end

  /// What each part of the output is, in the order of the references and constants the output lists; empty until described.
  public var outputDescriptors: [Descriptor] = []

  public init() {}

  public enum InsertionPoint: Hashable, Sendable {
    case end
    case before(NodeID)
    case after(NodeID)
  }

  /// One distinct use of a node by another, linked into the used node's list of users.
  struct Edge: Sendable {
    var user: UInt32
    var definition: UInt32
    var previous: UInt32
    var next: UInt32
  }
}

// MARK: - Reading

extension Graph {
  /// The node with this id.
  ///
  /// - Precondition: The node belongs to this graph and is not erased.
  public subscript(id: NodeID) -> Node {
    _read {
      precondition(!storage[id.position].isErased, "node \(id) was erased")
      yield storage[id.position]
    }
  }

  public subscript(metadata id: NodeID) -> NodeMetadata {
    _read { yield storage[id.position].metadata }
    _modify { yield &storage[id.position].metadata }
  }

  public func contains(_ id: NodeID) -> Bool { storage.indices.contains(id.position) && !storage[id.position].isErased }

  /// The nodes in execution order, as they stand now: editing while iterating is safe, and shows in the next call.
  public var nodes: [NodeID] {
    var result: [NodeID] = []
    result.reserveCapacity(count)
    var node = firstNode
    while node != Node.absent {
      result.append(NodeID(Int(node)))
      node = storage[Int(node)].next
    }
    return result
  }

  public var placeholders: [NodeID] { nodes.filter { self[$0].isPlaceholder } }

  /// The output node; nil for a graph that has none yet.
  public var output: NodeID? { Self.id(outputNode) }

  /// What the graph returns; none without an output node.
  public var result: GraphArgument { output.flatMap { self[$0].arguments.first } ?? .none }

  public func node(named name: String) -> NodeID? { names[name] }

  /// An upper bound of node indices, for side tables.
  public var indexBound: Int { storage.count }

  public func previous(_ id: NodeID) -> NodeID? { Self.id(storage[id.position].previous) }
  public func next(_ id: NodeID) -> NodeID? { Self.id(storage[id.position].next) }

  static func id(_ raw: UInt32) -> NodeID? { raw == Node.absent ? nil : NodeID(Int(raw)) }

  /// The distinct nodes that use this one, in the order in which they began to.
  public func users(of id: NodeID) -> [NodeID] {
    var result: [NodeID] = []
    result.reserveCapacity(Int(storage[id.position].userCount))
    var edge = storage[id.position].firstUserEdge
    while edge != Node.absent {
      result.append(NodeID(Int(edges[Int(edge)].user)))
      edge = edges[Int(edge)].next
    }
    return result
  }

  public func userCount(of id: NodeID) -> Int { Int(storage[id.position].userCount) }
  public func hasUsers(_ id: NodeID) -> Bool { storage[id.position].userCount > 0 }

  /// The distinct nodes that this one uses, in order of first appearance.
  public func inputs(of id: NodeID) -> [NodeID] {
    storage[id.position].inputEdges.map { NodeID(Int(edges[Int($0)].definition)) }
  }
}
