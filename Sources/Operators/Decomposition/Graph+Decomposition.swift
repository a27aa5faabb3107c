import GraphIR
import TensorCore

extension Graph {
  /// The graph with the operators of a table replaced by others, until none of them is left.
  ///
  /// Nodes that stay are as they were. Those that take the place of a call have its source location and know whose derivative
  /// they are; what gives its result has its name, and its shape, strides and storage. A call that writes becomes the
  /// functional operator's decomposition and a `copy_`. What nothing uses then is gone.
  ///
  /// - Throws: `OperatorError`, with the source location of the call, where a decomposition fails, gives another result than
  ///   the operator, or calls itself; `GraphError` for a call whose arguments have no metadata.
  public func decomposed(by table: DecompositionTable) throws -> Graph {
    var graph = self
    _ = try graph.decompose(by: table)
    return graph
  }

  /// - Returns: The number of calls replaced.
  fileprivate mutating func decompose(by table: DecompositionTable) throws -> Int {
    if table.isEmpty { return 0 }
    var writer = DecompositionWriter(self, table)
    for id in nodes {
      guard let target = self[id].target as? OperatorDefinition, table.replacement(of: target) != nil else { continue }
      do {
        try writer.replace(id, target)
      } catch var error as OperatorError {
        error.source = self[id].metadata.source ?? error.source
        throw error
      }
    }
    self = writer.graph
    if writer.count > 0 { _ = try DeadCodeElimination().run(on: &self) }
    return writer.count
  }
}

extension GraphModule {
  /// The module with the operators of a table replaced by others, in nested modules too; see `Graph.decomposed(by:)`.
  public func decomposed(by table: DecompositionTable) throws -> GraphModule {
    var module = self
    _ = try Decomposition(by: table).run(on: &module)
    return module
  }
}

/// Replaces the operators of a table by others; see `Graph.decomposed(by:)`.
public struct Decomposition: GraphPass {
  public let name = "decomposition"
  public let table: DecompositionTable

  public init(by table: DecompositionTable) { self.table = table }

  public func run(on module: inout GraphModule) throws -> Int {
    var count = try module.graph.decompose(by: table)
    for path in module.modules.keys {
      guard var nested = module.modules[path] else { continue }
      count += try run(on: &nested)
      module.modules[path] = nested
    }
    return count
  }
}

/// A graph in which calls are being replaced.
private struct DecompositionWriter {
  var graph: Graph
  var count = 0
  private let table: DecompositionTable
  private var nextStorageID: Int

  init(_ graph: Graph, _ table: DecompositionTable) {
    self.graph = graph
    self.table = table
    let storages = graph.nodes.flatMap { graph[metadata: $0].value?.references.compactMap(\.storageID) ?? [] }
    nextStorageID = (storages.max() ?? -1) + 1
  }

  mutating func replace(_ id: NodeID, _ target: OperatorDefinition) throws {
    let node = graph[id]
    let arguments = try node.boundArguments()
    let call = Call(target, try arguments.map { try $0.map { .reference(try meta(of: $0, usedBy: node)) } })
    let tracer = GraphTracer()
    tracer.annotate = { _ in node.metadata.ofPart }
    let mode = DecomposingMode(table, recordingOn: tracer)
    try tracer.record(call) { call in
      try DispatchContext.current.withMode(mode) { try mode.dispatch(call) }
    }
    let body = renumbered(tracer.graph, call, results: node.metadata.value)
    let inputs = arguments.flatMap(\.references)
    let result = try graph.inserting(.before(id)) {
      try $0.inline(body, arguments: inputs.map { .reference($0) })
    }
    graph.replaceAllUses(of: id, with: result)
    try graph.erase(id)
    if let first = result.references.first, !inputs.contains(first) { graph.rename(first, to: node.name) }
    for part in result.references where !inputs.contains(part) {
      graph[metadata: part].recompute = node.metadata.recompute
    }
    count += 1
  }

  private func meta(of id: NodeID, usedBy node: Node) throws -> TensorMeta {
    if let meta = graph[metadata: id].tensor { return meta }
    throw GraphError(
      .invalidArgument, "uses '\(graph[id].name)', of whose value nothing is known; propagate metadata first",
      node: node.name, source: node.metadata.source)
  }

  /// The body with storages numbered as in the graph: those of the arguments and results as they are, others anew.
  private mutating func renumbered(_ body: Graph, _ call: Call<TensorMeta>, results: MetaValue?) -> Graph {
    var body = body
    var numbers: [Int: Int?] = [:]
    func assign(_ metas: [TensorMeta?], _ known: [TensorMeta?]) {
      for (meta, known) in zip(metas, known) {
        if let id = meta?.storageID, numbers[id] == nil { numbers[id] = .some(known?.storageID) }
      }
    }
    assign(body.placeholders.map { body[metadata: $0].tensor }, call.arguments.flatMap(\.references))
    let given = body.result.references.map { body[metadata: $0].tensor }
    assign(given, results?.references ?? [])
    for id in body.nodes {
      body[metadata: id].value = body[metadata: id].value?.map { meta in
        var meta = meta
        if let old = meta.storageID {
          if numbers[old] == nil {
            numbers[old] = .some(nextStorageID)
            nextStorageID += 1
          }
          meta.storageID = numbers[old] ?? nil
        }
        return .reference(meta)
      }
    }
    return body
  }
}

extension NodeMetadata {
  /// What a part of the node's computation has of it. Whether a value is saved is said of results alone.
  fileprivate var ofPart: NodeMetadata {
    var part = self
    part.value = nil
    part.descriptor = nil
    if recompute == .mustSave || recompute == .preferSave { part.recompute = nil }
    return part
  }
}
