import TensorCore

/// Collects what is malformed about one graph.
struct Linter {
  let graph: Graph
  let order: [NodeID]
  private(set) var problems: [GraphError] = []

  init(_ graph: Graph) {
    self.graph = graph
    order = graph.nodes
  }

  mutating func report(_ message: String, _ id: NodeID, code: GraphError.Code = .malformed) {
    let node = graph[id]
    problems.append(GraphError(code, message, node: node.name, source: node.metadata.source))
  }

  private mutating func report(_ message: String) { problems.append(GraphError(.malformed, message)) }

  // MARK: The data structure

  mutating func checkLinks() {
    if order.count != graph.count { report("\(order.count) nodes are linked, \(graph.count) were counted") }
    for id in order {
      let node = graph[id]
      if graph.node(named: node.name) != id { report("its name belongs to another node", id) }
      if !NameTable.isIdentifier(node.name) || NameTable.reserved.contains(node.name) {
        report("'\(node.name)' cannot name a node", id)
      }
    }
    checkUses()
  }

  /// Whether arguments and users tell the same story from both ends.
  private mutating func checkUses() {
    var isInput = [Bool](repeating: false, count: graph.edges.count)
    var lastUser = NodeMap<NodeID>(for: graph)
    for id in order {
      let node = graph[id]
      var used: [NodeID] = []
      func use(_ input: NodeID) {
        if lastUser[input] != id { used.append(input) }
        lastUser[input] = id
      }
      for argument in node.arguments { argument.forEachReference(use) }
      for keyword in node.keywordArguments { keyword.value.forEachReference(use) }
      if used != graph.inputs(of: id) { report("its arguments and its recorded inputs differ", id) }
      for edge in node.inputEdges where graph.edges[Int(edge)].user == id.index { isInput[Int(edge)] = true }
    }
    for id in order {
      var edge = graph[id].firstUserEdge
      var count = 0
      while edge != Node.absent {
        if !isInput[Int(edge)] || graph.edges[Int(edge)].definition != id.index {
          report("its users list %\(graph.edges[Int(edge)].user), which does not use it", id)
        }
        count += 1
        edge = graph.edges[Int(edge)].next
      }
      if count != graph.userCount(of: id) {
        report("it has \(count) users, counted were \(graph.userCount(of: id))", id)
      }
    }
  }

  // MARK: Order

  mutating func checkOrder() {
    var isDefined = NodeMap<Bool>(for: graph)
    var firstCall: NodeID?
    var output: NodeID?
    for id in order {
      let node = graph[id]
      for input in graph.inputs(of: id) {
        if !graph.contains(input) {
          report("uses \(input), which was erased", id)
        } else if graph[input].isOutput {
          report("uses the output '\(graph[input].name)'", id)
        } else if isDefined[input] == nil {
          report("uses '\(graph[input].name)' before it is defined", id)
        }
      }
      isDefined[id] = true
      if let output { report("stands after the output '\(graph[output].name)'", id) }
      if node.isOutput {
        if let output { report("is a second output beside '\(graph[output].name)'", id) }
        output = id
      } else if node.isPlaceholder {
        if let firstCall { report("is an input that stands after '\(graph[firstCall].name)'", id) }
      } else if firstCall == nil {
        firstCall = id
      }
    }
    if output == nil { report("the graph has no output") }
  }

  /// Whether a node has the arguments that its kind has.
  mutating func checkShape(of id: NodeID) {
    let node = graph[id]
    switch node.kind {
    case .placeholder, .getAttribute:
      if !node.arguments.isEmpty || !node.keywordArguments.isEmpty { report("takes no arguments", id) }
      if case .getAttribute("") = node.kind { report("reads an attribute without a name", id) }
    case .output:
      if node.arguments.count != 1 || !node.keywordArguments.isEmpty { report("an output takes one argument", id) }
    case .callFunction: break
    }
  }

  // MARK: Descriptors

  mutating func checkDescriptors() {
    var seen: [Descriptor: NodeID] = [:]
    for id in order where graph[id].isPlaceholder {
      guard let descriptor = graph[id].metadata.descriptor else { continue }
      if let other = seen.updateValue(id, forKey: descriptor) {
        report("is described as \(descriptor), as '\(graph[other].name)' is", id)
      }
    }
    guard let output = graph.output, !graph.outputDescriptors.isEmpty else { return }
    let count = graph.result.leafCount
    if graph.outputDescriptors.count != count {
      report("gives \(count) values, described are \(graph.outputDescriptors.count)", output)
    }
    for (descriptor, uses) in Dictionary(grouping: graph.outputDescriptors, by: \.self) where uses.count > 1 {
      report("describes \(uses.count) values as \(descriptor)", output)
    }
  }
}

extension Argument {
  /// The number of references and constants, at any depth.
  var leafCount: Int {
    switch self {
    case .list(let values), .tuple(let values): values.reduce(0) { $0 + $1.leafCount }
    case .dictionary(let entries): entries.reduce(0) { $0 + $1.value.leafCount }
    default: 1
    }
  }
}
