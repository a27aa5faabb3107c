import TensorCore

/// Makes a graph from another, node by node.
///
/// Subclass it to change how nodes are carried over: each method appends to `result` and gives what stands there for the old node:
/// a node, a constant, or a tuple of them. Metadata and names are kept where a node is copied.
open class Transformer {
  /// The graph that is read.
  public let source: Graph
  /// The graph that is made.
  public var result = Graph()
  private var mapping: NodeMap<GraphArgument>

  public init(_ source: Graph) {
    self.source = source
    mapping = NodeMap(for: source)
  }

  /// Carries every node over.
  ///
  /// - Throws: What the methods throw; `GraphError` for a node used before it is defined.
  open func transformed() throws -> Graph {
    result = Graph()
    mapping = NodeMap(for: source)
    for id in source.nodes {
      let node = source[id]
      switch node.kind {
      case .placeholder: mapping[id] = try placeholder(id)
      case .getAttribute(let path): mapping[id] = try getAttribute(id, path)
      case .callFunction(let target):
        let arguments = try node.arguments.map { try carried($0, for: node) }
        let keywords = try node.keywordArguments.map { KeywordArgument($0.name, try carried($0.value, for: node)) }
        mapping[id] = try call(id, target, arguments, keywords)
      case .output: try output(id, try carried(node.arguments.first ?? .none, for: node))
      }
    }
    return result
  }

  /// What stands in `result` for a node of `source` that has been carried over.
  public func mapped(_ id: NodeID) -> GraphArgument? { mapping[id] }

  open func placeholder(_ id: NodeID) throws -> GraphArgument {
    .reference(result.placeholder(source[id].name, metadata: source[id].metadata))
  }

  open func getAttribute(_ id: NodeID, _ path: String) throws -> GraphArgument {
    .reference(result.getAttribute(path, name: source[id].name, metadata: source[id].metadata))
  }

  /// A call, its arguments already in terms of `result`. An element picked from a tuple that is known is that element.
  open func call(
    _ id: NodeID, _ target: any Operator, _ arguments: [GraphArgument], _ keywordArguments: [KeywordArgument]
  ) throws -> GraphArgument {
    if target === GetItem.shared, arguments.count == 2, let elements = arguments[0].elements,
      case .int(let index) = arguments[1], elements.indices.contains(index.value)
    {
      return elements[index.value]
    }
    return .reference(
      result.call(target, arguments, keywordArguments, name: source[id].name, metadata: source[id].metadata))
  }

  open func output(_ id: NodeID, _ value: GraphArgument) throws {
    let output = result.output(value, descriptors: source.outputDescriptors)
    result[metadata: output] = source[id].metadata
  }

  private func carried(_ argument: GraphArgument, for node: Node) throws(GraphError) -> GraphArgument {
    try argument.map { (id: NodeID) throws(GraphError) -> GraphArgument in
      guard let argument = mapping[id] else {
        throw GraphError(.malformed, "uses '\(source[id].name)' before it is defined", node: node.name)
      }
      return argument
    }
  }
}
