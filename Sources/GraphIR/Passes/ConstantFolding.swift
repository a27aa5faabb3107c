import TensorCore

/// Computes once what depends on nothing but attributes and constants, and keeps the results as attributes.
///
/// Attributes are taken not to change between runs: leave out those that may, such as parameters in training, with `isConstant`. Not
/// computed are random and effectful calls, calls that write or read memory that is written to, results that the graph returns (each run
/// owes its caller new ones), results that require a gradient, and anything on fake tensors.
public struct ConstantFolding: GraphPass {
  public let name = "constant-folding"
  private let isConstant: @Sendable (String) -> Bool
  private let maximumByteCount: Int

  /// - Parameters:
  ///   - maximumByteCount: The largest result to keep, in bytes.
  ///   - isConstant: Whether the attribute at a path never changes.
  public init(maximumByteCount: Int = 1 << 26, isConstant: @escaping @Sendable (String) -> Bool = { _ in true }) {
    self.maximumByteCount = maximumByteCount
    self.isConstant = isConstant
  }

  public func run(on module: inout GraphModule) throws -> Int {
    let graph = module.graph
    let aliases = AliasAnalysis(graph)
    var known = NodeMap<Value>(for: graph)
    var folded: [NodeID] = []
    for id in graph.nodes {
      let node = graph[id]
      guard !aliases.isWritten(id), !(node.metadata.value?.references.contains(where: \.requiresGrad) ?? false) else {
        continue
      }
      if case .getAttribute(let path) = node.kind, isConstant(path), let tensor = module.attribute(path), !tensor.isFake
      {
        known[id] = .reference(tensor)
      } else if let target = node.target, target.isPure, graph.inputs(of: id).allSatisfy({ known[$0] != nil }),
        let value = evaluated(node, target, known), isKept(value)
      {
        known[id] = value
        folded.append(id)
      }
    }
    return try replace(folded, known, aliases, in: &module)
  }

  /// What a call gives; nil where it throws: it will do so when the graph runs, as it would have.
  private func evaluated(_ node: Node, _ target: any Operator, _ known: NodeMap<Value>) -> Value? {
    guard let bound = try? node.boundArguments() else { return nil }
    return try? target.evaluate(bound.map { $0.map { (id: NodeID) -> Value in known[id] ?? .none } })
  }

  private func isKept(_ value: Value) -> Bool {
    value.references.allSatisfy { !$0.isFake && TensorMeta($0).byteCount <= maximumByteCount }
  }

  /// Turns the folded nodes that others still need into reads of attributes, and drops the rest.
  private func replace(
    _ folded: [NodeID], _ known: NodeMap<Value>, _ aliases: AliasAnalysis, in module: inout GraphModule
  ) throws -> Int {
    var isFolded = Set(folded)
    var changes = 0
    for id in folded.reversed() {
      let users = module.graph.users(of: id)
      if users.isEmpty {
        try module.graph.erase(id)
        changes += 1
        continue
      }
      // Only a tensor can be an attribute; a list stays, and its elements are folded each by itself.
      guard let tensor = known[id]?.reference, !aliases.isReturned(id) else {
        isFolded.remove(id)
        continue
      }
      if users.allSatisfy(isFolded.contains) { continue }
      let path = module.addAttribute(tensor, named: "_folded_\(module.graph[id].name)")
      let metadata = module.graph[id].metadata
      let name = module.graph[id].name
      let attribute = module.graph.inserting(.before(id)) { $0.getAttribute(path, metadata: metadata) }
      module.graph.replaceAllUses(of: id, with: attribute)
      try module.graph.erase(id)
      module.graph.rename(attribute, to: name)
      changes += 1
    }
    return changes
  }
}
