import TensorCore

/// Which nodes of a graph may share memory, and which calls write to it, as the operators' schemas say.
///
/// Memory is told apart conservatively: a view shares its argument's, a container its elements'. Inputs whose storage the
/// metadata does not number may all share one memory with each other.
public struct AliasAnalysis: Sendable {
  /// A set of nodes that may share memory.
  public typealias Memory = Int

  private let parents: [Int]
  private let writes: NodeMap<Set<Memory>>
  private let returned: Set<Memory>
  private let written: Set<Memory>

  /// Whether any call writes to memory.
  public var hasWrites: Bool { !written.isEmpty }

  public init(_ graph: Graph) {
    var sets = DisjointSets(count: graph.indexBound)
    let nodes = graph.nodes
    Self.joinInputs(of: graph, nodes, &sets)
    for id in nodes { Self.joinResult(of: id, graph, &sets) }
    var writes = NodeMap<Set<Memory>>(for: graph)
    var written: Set<Memory> = []
    for id in nodes {
      guard let target = graph[id].target else { continue }
      // What a nested graph writes to is not known from the call.
      let writesAll = target.traits.contains(.callsGraphs)
      guard target.schema.isMutating || writesAll else { continue }
      var memory: Set<Memory> = []
      Self.forEachArgument(of: graph[id], target.schema) { argument, parameter in
        guard let parameter, !writesAll, parameter.alias?.isWrite != true else {
          return argument.forEachReference { memory.insert(sets.root($0.position)) }
        }
      }
      writes[id] = memory
      written.formUnion(memory)
    }
    self.returned = Set(graph.result.references.map { sets.root($0.position) })
    self.written = written
    self.writes = writes
    self.parents = (0..<graph.indexBound).map { sets.root($0) }
  }

  /// The memory that a node's value lies in, as a number that nodes sharing memory share.
  ///
  /// - Precondition: The node was in the graph when it was analyzed.
  public func memory(of id: NodeID) -> Memory { parents[id.position] }

  /// The memory that a call writes to.
  public func memoryWritten(by id: NodeID) -> Set<Memory> { writes[id] ?? [] }

  /// Whether any call of the graph writes to the memory that this node's value lies in.
  public func isWritten(_ id: NodeID) -> Bool { written.contains(memory(of: id)) }

  /// Whether the graph returns this node's value or one that may share memory with it.
  public func isReturned(_ id: NodeID) -> Bool { returned.contains(memory(of: id)) }

  // MARK: Building

  private static func joinInputs(of graph: Graph, _ nodes: [NodeID], _ sets: inout DisjointSets) {
    var byStorage: [Int: Int] = [:]
    var unknown: Int?
    for id in nodes {
      switch graph[id].kind {
      case .placeholder, .getAttribute: break
      default: continue
      }
      if let storage = graph[id].metadata.tensor?.storageID {
        if let other = byStorage[storage] { sets.join(other, id.position) } else { byStorage[storage] = id.position }
      } else if mayHoldTensor(graph[id].metadata.value) {
        if let other = unknown { sets.join(other, id.position) } else { unknown = id.position }
      }
    }
  }

  private static func mayHoldTensor(_ value: MetaValue?) -> Bool { value.map { !$0.references.isEmpty } ?? true }

  private static func joinResult(of id: NodeID, _ graph: Graph, _ sets: inout DisjointSets) {
    let node = graph[id]
    guard let target = node.target else { return }
    let returned = Set(target.schema.returns.compactMap(\.alias).flatMap(\.sets))
    let sharesAll = target === GetItem.shared || target.traits.contains(.callsGraphs)
    if returned.isEmpty && !sharesAll { return }
    forEachArgument(of: node, target.schema) { argument, parameter in
      let annotated = parameter?.alias.map { alias in alias.sets.contains { $0 == "*" || returned.contains($0) } }
      if sharesAll || (annotated ?? (parameter == nil)) || returned.contains("*") {
        argument.forEachReference { sets.join(id.position, $0.position) }
      }
    }
  }

  /// Calls `body` with each argument and its parameter; nil for an argument that the schema has no parameter for.
  private static func forEachArgument(
    of node: Node, _ schema: OperatorSchema, _ body: (GraphArgument, OperatorSchema.Parameter?) -> Void
  ) {
    for (index, argument) in node.arguments.enumerated() {
      body(argument, index < schema.parameters.count ? schema.parameters[index] : nil)
    }
    for keyword in node.keywordArguments {
      body(keyword.value, schema.parameters.first { $0.name == keyword.name })
    }
  }
}

/// Sets of integers that only ever merge.
struct DisjointSets {
  private var parents: [Int]

  init(count: Int) { parents = Array(0..<count) }

  /// The member that stands for a set.
  mutating func root(_ member: Int) -> Int {
    var root = member
    while parents[root] != root {
      parents[root] = parents[parents[root]]
      root = parents[root]
    }
    return root
  }

  mutating func join(_ a: Int, _ b: Int) {
    let (a, b) = (root(a), root(b))
    // The earlier node stands for both.
    parents[max(a, b)] = min(a, b)
  }
}
