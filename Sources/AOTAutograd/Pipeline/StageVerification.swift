import AOTArtifacts
import GraphIR
import Operators

/// Debug builds check every graph that a stage hands on: that it belongs to its dialect, and that its text reads back as the
/// same graph.
func verify(_ module: GraphModule, as dialect: Dialect) throws {
  #if DEBUG
    try dialect.validate(module)
    var graph = module.graph
    // Looking up every line in the debug information would take most of a debug run.
    for id in graph.nodes { graph[metadata: id].source = nil }
    let text = graph.description
    let read = try Graph(parsing: text, operators: graph.operators)
    guard read.description == text else {
      throw GraphError(.malformed, "the text of a \(dialect.rawValue) graph reads back as another graph:\n\(text)")
    }
  #endif
}

extension Graph {
  /// The operators that the graph calls, by name: those of the library and users' own.
  fileprivate var operators: any OperatorTable {
    var known: [OperatorName: any Operator] = [:]
    for id in nodes { if let target = self[id].target { known[target.name] = target } }
    return CalledOperators(known: known)
  }
}

private struct CalledOperators: OperatorTable {
  let known: [OperatorName: any Operator]
  func lookup(_ name: OperatorName) -> (any Operator)? { known[name] }
}
