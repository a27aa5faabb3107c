/// Removes nodes that nothing uses and that do nothing but compute. Inputs stay: they are the calling convention. So do calls of
/// the user's that may refuse the elements they get.
public struct DeadCodeElimination: GraphPass {
  public let name = "dead-code-elimination"

  public init() {}

  public func run(on module: inout GraphModule) throws -> Int { try run(on: &module.graph) }

  /// - Returns: The number of nodes removed.
  public func run(on graph: inout Graph) throws(GraphError) -> Int {
    var removed = 0
    // From the end: a node's users have gone before it is asked.
    for id in graph.nodes.reversed() where !graph.hasUsers(id) {
      switch graph[id].kind {
      case .placeholder, .output: continue
      case .getAttribute: break
      case .callFunction(let target): if !target.isPure || graph[id].checksElements { continue }
      }
      try graph.erase(id)
      removed += 1
    }
    return removed
  }
}
