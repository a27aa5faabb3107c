/// A node of a graph, by dense index. It names a node in the graph that made it and in copies of that graph.
public struct NodeID: Hashable, Sendable, CustomStringConvertible {
  public let index: UInt32

  package init(_ index: Int) { self.index = UInt32(index) }

  var position: Int { Int(index) }

  public var description: String { "%\(index)" }
}

/// One step of a graph. Nodes are read through `Graph`'s subscript and changed through its methods, which maintain users.
public struct Node: Sendable {
  public enum Kind: Sendable {
    /// A graph input.
    case placeholder
    /// A tensor or module that the graph's module holds, by dotted path.
    case getAttribute(String)
    case callFunction(any Operator)
    /// What the graph returns: its single argument.
    case output
  }

  public let kind: Kind
  /// Unique in its graph; an identifier.
  public internal(set) var name: String
  public internal(set) var arguments: [GraphArgument]
  public internal(set) var keywordArguments: [KeywordArgument]
  public var metadata: NodeMetadata

  var previous: UInt32 = Node.absent
  var next: UInt32 = Node.absent
  var isErased = false
  /// Edges to the distinct nodes this one uses.
  var inputEdges: [UInt32] = []
  var firstUserEdge: UInt32 = Node.absent
  var lastUserEdge: UInt32 = Node.absent
  var userCount: UInt32 = 0

  static let absent = UInt32.max

  init(
    kind: Kind, name: String, arguments: [GraphArgument], keywordArguments: [KeywordArgument], metadata: NodeMetadata
  ) {
    self.kind = kind
    self.name = name
    self.arguments = arguments
    self.keywordArguments = keywordArguments
    self.metadata = metadata
  }

  /// The operator, for a `callFunction` node.
  public var target: (any Operator)? { if case .callFunction(let target) = kind { target } else { nil } }

  public var isPlaceholder: Bool { if case .placeholder = kind { true } else { false } }
  public var isOutput: Bool { if case .output = kind { true } else { false } }

  /// The arguments of a call in the order of its schema's parameters, defaults filled in; nothing for other nodes.
  ///
  /// - Throws: `GraphError` where the arguments do not fit the schema.
  public func boundArguments() throws(GraphError) -> [GraphArgument] {
    guard let target else { return [] }
    return try target.schema.bind(arguments, keywords: keywordArguments.map { (name: $0.name, value: $0.value) })
  }

  /// Whether this node calls that operator.
  public func calls(_ target: any Operator) -> Bool { self.target === target }
}

public struct KeywordArgument: Hashable, Sendable {
  public var name: String
  public var value: GraphArgument

  public init(_ name: String, _ value: GraphArgument) {
    self.name = name
    self.value = value
  }
}
