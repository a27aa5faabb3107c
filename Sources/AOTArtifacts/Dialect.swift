import GraphIR

/// What a graph may contain at each stage of the way.
public enum Dialect: String, CaseIterable, Hashable, Sendable {
  /// Any operator call; inputs are arguments and closed-over tensors.
  case captured
  /// No writing, but for copies into inputs at the very end.
  case functional
  /// As functional, the backward pass after the copies; inputs are primals, then tangents.
  case joint
  /// As functional, without tangents.
  case forward
  /// As functional, its copies being those of custom functions; inputs are saved values and tangents.
  case backward

  /// Checks a module against the dialect, and that it is well-formed.
  ///
  /// - Throws: `GraphError` naming the node that does not belong.
  public func validate(_ module: GraphModule) throws(GraphError) {
    try module.validate()
    try checkInputs(module.graph)
    try checkOutput(module.graph)
    if self != .captured { try checkWrites(module.graph) }
  }

  private func checkInputs(_ graph: Graph) throws(GraphError) {
    var sawTangent = false
    for id in graph.placeholders {
      let node = graph[id]
      switch (self, node.metadata.descriptor?.outermost) {
      case (.joint, .tangent), (.backward, .tangent): sawTangent = true
      case (.backward, .saved) where !sawTangent: break
      case (.captured, .input), (.functional, .input), (.joint, .input), (.forward, .input),
        (.captured, .closedOver), (.functional, .closedOver), (.joint, .closedOver), (.forward, .closedOver),
        (.functional, .token), (.joint, .token), (.forward, .token),
        (.functional, .randomKey), (.joint, .randomKey), (.forward, .randomKey),
        (.functional, .randomCounter), (.joint, .randomCounter), (.forward, .randomCounter),
        (.captured, .syntheticBase), (.functional, .syntheticBase), (.joint, .syntheticBase),
        (.forward, .syntheticBase):
        if sawTangent { throw refusal(node, "a primal stands after a tangent") }
      case (_, let descriptor):
        throw refusal(node, "an input described as \(descriptor.map { "\($0)" } ?? "nothing") does not belong")
      }
    }
  }

  private func checkOutput(_ graph: Graph) throws(GraphError) {
    guard case .tuple = graph.result else {
      throw GraphError(.malformed, "a \(rawValue) graph returns one tuple", node: "output")
    }
  }

  private func checkWrites(_ graph: Graph) throws(GraphError) {
    var isEnding = false
    for id in graph.nodes {
      let node = graph[id]
      guard let target = node.target else { continue }
      if target.schema.isMutating {
        let destination = node.arguments.first?.reference
        guard target.name.base == "copy_", destination.map({ graph[$0].isPlaceholder }) == true
        else {
          throw refusal(node, "a call of \(target.name) writes")
        }
        isEnding = true
      } else if isEnding, target !== GetItem.shared, !(self == .joint && node.metadata.isBackward) {
        throw refusal(node, "a call stands after the copies into inputs")
      }
    }
  }

  private func refusal(_ node: Node, _ message: String) -> GraphError {
    GraphError(.malformed, "\(message) in a \(rawValue) graph", node: node.name, source: node.metadata.source)
  }
}
