import TensorCore

extension Graph {
  /// Everything that is malformed about the graph, each with the node at fault; empty for a well-formed one.
  ///
  /// Checked are: order (inputs first, definitions before uses, one output, last), names, users, arguments against schemas and
  /// against recorded metadata, indices of `getitem`, metadata that no tensor could have or that contradicts a schema, and descriptors.
  public func lint() -> [GraphError] {
    var linter = Linter(self)
    linter.checkLinks()
    linter.checkOrder()
    linter.checkDescriptors()
    for id in linter.order {
      linter.checkShape(of: id)
      linter.checkCall(id)
      linter.checkMetadata(of: id)
    }
    return linter.problems
  }

  /// - Throws: `GraphError` with code `malformed` that lists what `lint()` found, if it found anything.
  public func validate() throws(GraphError) { try GraphError.throwAll(lint()) }
}

extension GraphModule {
  /// Everything that is malformed about the graph and the nested ones, and every path that names nothing.
  ///
  /// - Parameter rerunningShapeRules: Whether to run the graph on fake tensors made from its inputs' metadata, too, and to
  ///   compare what each node gives with what is recorded.
  public func lint(rerunningShapeRules: Bool = false) -> [GraphError] {
    var problems = graph.lint()
    for id in graph.nodes {
      guard case .getAttribute(let path) = graph[id].kind else { continue }
      if attribute(path) == nil, module(path) == nil {
        problems.append(
          GraphError(
            .missingAttribute, "reads '\(path)', which the module does not have", node: graph[id].name,
            source: graph[id].metadata.source))
      }
    }
    for (path, module) in modules.sorted(by: { $0.key < $1.key }) {
      problems += module.lint(rerunningShapeRules: rerunningShapeRules).map { problem in
        var problem = problem
        problem.node = problem.node.map { "\(path).\($0)" } ?? path
        return problem
      }
    }
    if rerunningShapeRules, problems.isEmpty { problems += contradictedMetadata() }
    return problems
  }

  /// - Throws: `GraphError` with code `malformed` that lists what `lint` found, if it found anything.
  public func validate(rerunningShapeRules: Bool = false) throws(GraphError) {
    try GraphError.throwAll(lint(rerunningShapeRules: rerunningShapeRules))
  }
}

extension GraphError {
  fileprivate static func throwAll(_ problems: [GraphError]) throws(GraphError) {
    guard let first = problems.first else { return }
    if problems.count == 1 { throw first }
    let shown = problems.prefix(20).map { "\n  \($0)" }.joined()
    let rest = problems.count > 20 ? "\n  and \(problems.count - 20) more" : ""
    throw GraphError(.malformed, "\(problems.count) problems:\(shown)\(rest)")
  }
}
