import TensorCore

/// Makes calls that must give the same value one call.
///
/// Two calls are one where operator, arguments, and what users can tell apart about the results agree: `requiresGrad`, the grad mode they
/// were written in, and their recompute tag and region. Left alone are random and effectful calls and calls that write; calls whose result's
/// memory is written to anywhere, since each of two writers needs memory of its own; reads with a write in between; and a second
/// value that the graph returns, since callers can tell one tensor from two.
public struct CommonSubexpressionElimination: GraphPass {
  public let name = "common-subexpression-elimination"

  public init() {}

  public func run(on module: inout GraphModule) throws -> Int { try run(on: &module.graph) }

  private struct Key: Hashable {
    var target: ObjectIdentifier?
    var attribute: String?
    var arguments: [GraphArgument]
    var requiresGrad: [Bool]
    var gradMode: Bool?
    var recompute: RecomputeTag?
    var recomputeRegion: Int?
    /// How often the memory of each argument has been written to so far.
    var writes: [Int]
  }

  /// - Returns: The number of calls removed.
  public func run(on graph: inout Graph) throws(GraphError) -> Int {
    let aliases = AliasAnalysis(graph)
    var first: [Key: NodeID] = [:]
    var writes: [AliasAnalysis.Memory: Int] = [:]
    var returned = ReturnedTensors(graph, aliases)
    var removed = 0
    for id in graph.nodes {
      for memory in aliases.memoryWritten(by: id) { writes[memory, default: 0] += 1 }
      guard let key = key(of: id, in: graph, aliases, writes) else { continue }
      guard let other = first[key] else {
        first[key] = id
        continue
      }
      guard returned.mayBecomeOne(id, other) else { continue }
      returned.merge(id, into: other)
      Self.moveElements(of: id, to: other, in: &graph)
      graph.replaceAllUses(of: id, with: other)
      try graph.erase(id)
      removed += 1
    }
    return removed
  }

  /// Describes what is picked from one call's results as what is picked from the other's: it lies in other memory.
  private static func moveElements(of id: NodeID, to other: NodeID, in graph: inout Graph) {
    guard let elements = graph[other].metadata.value?.elements else { return }
    for user in graph.users(of: id) {
      if let index = graph.getItemIndex(of: user), elements.indices.contains(index) {
        graph[metadata: user].value = elements[index]
      }
    }
  }

  private func key(
    of id: NodeID, in graph: Graph, _ aliases: AliasAnalysis, _ writes: [AliasAnalysis.Memory: Int]
  ) -> Key? {
    let node = graph[id]
    var key = Key(
      arguments: node.arguments, requiresGrad: node.metadata.value?.references.map(\.requiresGrad) ?? [],
      gradMode: node.metadata.gradMode, recompute: node.metadata.recompute,
      recomputeRegion: node.metadata.recomputeRegion, writes: [])
    switch node.kind {
    case .placeholder, .output: return nil
    case .getAttribute(let path): key.attribute = path
    case .callFunction(let target):
      guard target.isPure, !aliases.isWritten(id) else { return nil }
      key.target = ObjectIdentifier(target)
      // Calls that do not fit their schema are lint's to report, not to be merged.
      guard let bound = try? node.boundArguments() else { return nil }
      key.arguments = bound
    }
    if !writes.isEmpty { key.writes = graph.inputs(of: id).map { writes[aliases.memory(of: $0)] ?? 0 } }
    return key
  }
}

/// Keeps callers from getting one tensor, or one memory, where they would have got two.
private struct ReturnedTensors {
  private let aliases: AliasAnalysis
  /// Memory that the graph hands to its caller.
  private var memory: Set<AliasAnalysis.Memory> = []
  /// Memory of calls that are gone, and that of the calls in their place.
  private var replaced: [AliasAnalysis.Memory: AliasAnalysis.Memory] = [:]
  /// Nodes that give the caller a tensor as it is, or a container it was picked from.
  private var nodes: Set<NodeID> = []

  init(_ graph: Graph, _ aliases: AliasAnalysis) {
    self.aliases = aliases
    for returned in graph.result.references {
      memory.insert(aliases.memory(of: returned))
      var node: NodeID? = returned
      while let id = node {
        nodes.insert(id)
        node = graph.getItemIndex(of: id) == nil ? nil : graph[id].arguments[0].reference
      }
    }
  }

  private func memory(of node: NodeID) -> AliasAnalysis.Memory {
    var memory = aliases.memory(of: node)
    while let next = replaced[memory] { memory = next }
    return memory
  }

  func mayBecomeOne(_ a: NodeID, _ b: NodeID) -> Bool {
    let (memoryOfA, memoryOfB) = (memory(of: a), memory(of: b))
    // Views of one memory are views of one memory when they are one view, unless the caller gets both.
    if memoryOfA == memoryOfB { return !nodes.contains(a) || !nodes.contains(b) }
    return !memory.contains(memoryOfA) || !memory.contains(memoryOfB)
  }

  mutating func merge(_ node: NodeID, into other: NodeID) {
    let (old, new) = (memory(of: node), memory(of: other))
    if memory.contains(old) { memory.insert(new) }
    if old != new { replaced[old] = new }
    if nodes.contains(node) { nodes.insert(other) }
  }
}
