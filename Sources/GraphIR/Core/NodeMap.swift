/// A value for some of the nodes of a graph, kept beside it: an array indexed by node, so that looking up costs an array access.
public struct NodeMap<Value> {
  private var values: [Value?]

  /// A map without values, with room for the nodes that the graph has now. It grows for nodes made later.
  public init(for graph: Graph) {
    values = Array(repeating: nil, count: graph.indexBound)
  }

  public subscript(id: NodeID) -> Value? {
    get { id.position < values.count ? values[id.position] : nil }
    set {
      if id.position >= values.count {
        values.append(contentsOf: repeatElement(nil, count: id.position + 1 - values.count))
      }
      values[id.position] = newValue
    }
  }
}

extension NodeMap: Sendable where Value: Sendable {}
