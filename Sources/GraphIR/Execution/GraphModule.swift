import TensorCore

/// A graph with the tensors and nested modules that its `get_attr` nodes name by dotted path.
public struct GraphModule {
  public var graph: Graph
  /// Tensors by path. A path with dots may be a key here, or lead into a nested module.
  public var attributes: [String: Tensor]
  /// Nested modules by path.
  public var modules: [String: GraphModule]

  public init(_ graph: Graph, attributes: [String: Tensor] = [:], modules: [String: GraphModule] = [:]) {
    self.graph = graph
    self.attributes = attributes
    self.modules = modules
  }

  /// The tensor at a path: one of this module's own, or of the nested module that the path leads into.
  public func attribute(_ path: String) -> Tensor? {
    if let tensor = attributes[path] { return tensor }
    return firstFound(along: path) { module, rest in module.attribute(rest) }
  }

  /// The nested module at a path.
  public func module(_ path: String) -> GraphModule? {
    if let module = modules[path] { return module }
    return firstFound(along: path) { module, rest in module.module(rest) }
  }

  private func firstFound<Found>(along path: String, _ find: (GraphModule, String) -> Found?) -> Found? {
    if modules.isEmpty { return nil }
    for (key, module) in modules where path.hasPrefix(key + ".") {
      if let found = find(module, String(path.dropFirst(key.count + 1))) { return found }
    }
    return nil
  }

  /// Adds a tensor under a name that no other attribute or module has.
  ///
  /// - Returns: The path it got: `name`, with a number if that is taken.
  public mutating func addAttribute(_ tensor: Tensor, named name: String) -> String {
    var path = name
    var suffix = 0
    while attribute(path) != nil || module(path) != nil {
      path = "\(name)_\(suffix)"
      suffix += 1
    }
    attributes[path] = tensor
    return path
  }

  /// Replaces a call of `higher_order.invoke_subgraph` by the body of the module that it calls.
  ///
  /// - Throws: `GraphError` with code `invalidArgument` where the node is no such call, its module is not there, or the number
  ///   of arguments is wrong; the module is unchanged then.
  public mutating func inline(_ call: NodeID) throws(GraphError) {
    let node = graph[call]
    guard node.calls(InvokeSubgraph.shared), node.keywordArguments.isEmpty, node.arguments.count == 2,
      let reference = node.arguments[0].reference, case .getAttribute(let path) = graph[reference].kind,
      let arguments = node.arguments[1].elements
    else {
      throw GraphError(.invalidArgument, "is not a call of a nested module with a list of arguments", node: node.name)
    }
    guard let module = module(path) else {
      throw GraphError(.missingAttribute, "calls the module '\(path)', which is not there", node: node.name)
    }
    let result = try graph.inserting(.before(call)) { graph throws(GraphError) in
      try graph.inline(module.graph, arguments: arguments, attributePrefix: path + ".")
    }
    graph.replaceAllUses(of: call, with: result)
    try graph.erase(call)
    if !graph.hasUsers(reference) { try graph.erase(reference) }
  }
}
