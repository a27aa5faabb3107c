import GraphIR
import TensorCore

/// Records operator calls on fake tensors as nodes of a graph.
///
/// Every stage that makes a graph by running tensor code does it through this: capture runs the user's closure,
/// functionalization and joint tracing replay a graph with other meanings, decompositions run in the tensor API.
public final class GraphTracer: DispatchMode {
  public private(set) var graph = Graph()
  /// What a new call node gets besides the value it gives.
  public var annotate: (_ call: OperatorCall) -> NodeMetadata = { _ in NodeMetadata() }
  /// What stands in the graph for a tensor that it does not know; nil refuses such tensors.
  public var liftUnknown: ((Tensor) throws -> Tensor)?

  /// The first thing done while recording that a graph cannot express.
  public private(set) var refusal: (any Error)?
  /// What was read of variables while recording, once per variable.
  public private(set) var guardedReads: [GuardedRead] = []

  private var lastPlaceholder: NodeID?
  private var nodes: [ObjectIdentifier: NodeID] = [:]
  private var nodeValues: [NodeID: Value] = [:]
  private var storageIDs: [ObjectIdentifier: Int] = [:]
  private var nextStorageID = 0
  /// Known tensors, kept alive so that their identities stay theirs.
  private var known: [Tensor] = []

  public init() {}

  /// Continues a graph that has no output yet: new calls come after its nodes, and `value(of:)` gives what stands for those.
  ///
  /// Results of a call that gives several get their `getitem` nodes where they lack them. Nodes without metadata of a value
  /// have no tensors.
  public init(continuing graph: Graph) throws {
    self.graph = graph
    var storages: [Int: Storage] = [:]
    for node in graph.nodes {
      if graph[node].isPlaceholder { lastPlaceholder = node }
      guard nodeValues[node] == nil, let meta = graph[metadata: node].value else { continue }
      let value = try meta.map { (meta: TensorMeta) throws -> Value in
        let tensor = try Tensor(fake: meta, sharing: meta.storageID.flatMap { storages[$0] })
        if let id = meta.storageID {
          storages[id] = tensor.storage
          storageIDs[ObjectIdentifier(tensor.storage)] = id
          nextStorageID = max(nextStorageID, id + 1)
        }
        return .reference(tensor)
      }
      bind(value, elementsOf: node)
    }
  }

  /// Runs `body` with its operator calls recorded here.
  public func recording<Result>(_ body: () throws -> Result) rethrows -> Result {
    let context = DispatchContext.current
    return try context.withMode(self) { try context.withFakeTensors(true, body) }
  }

  /// Records what `body` calls for one call on tensors of such metadata: the graph gets a placeholder for each of them, in
  /// order, and returns what `body` gives.
  func record(_ call: Call<TensorMeta>, _ body: (OperatorCall) throws -> Value) throws {
    var storages: [Int: Storage] = [:]
    let arguments = try call.arguments.map { argument in
      try argument.map { meta -> Value in
        let tensor = try Tensor(fake: meta, sharing: meta.storageID.flatMap { storages[$0] })
        if let id = meta.storageID { storages[id] = tensor.storage }
        addPlaceholder("argument", for: tensor, descriptor: nil)
        return .reference(tensor)
      }
    }
    try output(try recording { try body(OperatorCall(call.target, arguments)) })
  }

  // MARK: - Tensors and nodes

  /// Adds a graph input and gives the fake tensor that stands for it.
  public func placeholder(_ name: String, _ meta: TensorMeta, descriptor: Descriptor?) throws -> Tensor {
    let tensor = try Tensor(fake: meta)
    addPlaceholder(name, for: tensor, requiresGrad: meta.requiresGrad, descriptor: descriptor)
    return tensor
  }

  /// Adds a graph input for an existing fake tensor, as one of several that share a storage.
  @discardableResult
  public func addPlaceholder(
    _ name: String, for tensor: Tensor, requiresGrad: Bool = false, descriptor: Descriptor?
  ) -> NodeID {
    var value = meta(of: tensor)
    value.requiresGrad = requiresGrad
    let point: Graph.InsertionPoint =
      lastPlaceholder.map { .after($0) } ?? graph.nodes.first.map { .before($0) } ?? .end
    let node = graph.inserting(point) {
      $0.placeholder(name, metadata: NodeMetadata(value: .reference(value), descriptor: descriptor))
    }
    lastPlaceholder = node
    bind(tensor, to: node)
    return node
  }

  /// Adds a read of a module's attribute and gives the fake tensor that stands for it.
  public func attribute(_ path: String, _ meta: TensorMeta) throws -> Tensor {
    let tensor = try Tensor(fake: meta)
    let node = graph.getAttribute(path, metadata: NodeMetadata(value: .reference(self.meta(of: tensor))))
    bind(tensor, to: node)
    return tensor
  }

  public func bind(_ tensor: Tensor, to node: NodeID) {
    nodes[ObjectIdentifier(tensor)] = node
    nodeValues[node] = .reference(tensor)
    known.append(tensor)
  }

  /// Binds what a node of a continued graph gives, and the elements of a list or tuple to the nodes that pick them.
  private func bind(_ value: Value, elementsOf node: NodeID) {
    if let tensor = value.reference { return bind(tensor, to: node) }
    nodeValues[node] = value
    guard let elements = value.elements else { return }
    var items: [Int: NodeID] = [:]
    for user in graph.users(of: node) where graph[user].calls(GetItem.shared) {
      if case .int(let index) = graph[user].arguments.last, items[index.value] == nil { items[index.value] = user }
    }
    for (index, element) in elements.enumerated() {
      guard let tensor = element.reference else { continue }
      bind(tensor, to: items[index] ?? graph.inserting(.after(node)) { $0.getItem(node, index) })
    }
    for user in graph.users(of: node) where graph[user].calls(GetItem.shared) && nodeValues[user] == nil {
      if case .int(let index) = graph[user].arguments.last, elements.indices.contains(index.value) {
        nodeValues[user] = elements[index.value]
      }
    }
  }

  /// What stands for a node's value; nil for a node without one.
  public func value(of node: NodeID) -> Value? { nodeValues[node] }

  public func node(of tensor: Tensor) -> NodeID? { nodes[ObjectIdentifier(tensor)] }

  /// The graph argument for a value whose tensors are all known.
  public func argument(_ value: Value) throws -> GraphArgument {
    try value.map { tensor in
      guard let node = node(of: tensor) else {
        throw OperatorError(
          .argument, nil, "a tensor of shape \(tensor.sizes) is not a value of the graph being traced")
      }
      return .reference(node)
    }
  }

  /// Ends the graph.
  public func output(_ result: Value, descriptors: [Descriptor] = []) throws {
    graph.output(try argument(result), descriptors: descriptors)
  }

  /// The metadata of a fake tensor, its storage numbered.
  public func meta(of tensor: Tensor) -> TensorMeta {
    var meta = TensorMeta(tensor)
    let id = storageIDs[ObjectIdentifier(tensor.storage)] ?? nextStorageID
    if storageIDs.updateValue(id, forKey: ObjectIdentifier(tensor.storage)) == nil { nextStorageID += 1 }
    meta.storageID = id
    return meta
  }

  // MARK: - DispatchMode

  public func lift(_ tensor: Tensor) throws -> Tensor {
    if nodes[ObjectIdentifier(tensor)] != nil { return tensor }
    guard let liftUnknown else { return tensor }
    return try liftUnknown(tensor)
  }

  public func dispatch(_ call: OperatorCall) throws -> Value {
    let arguments = try call.arguments.map(argument)
    let result = try DispatchContext.current.withMode(nil) { try Dispatcher.execute(call) }
    var metadata = annotate(call)
    metadata.value = result.map { .reference(meta(of: $0)) }
    let (positional, keywords) = call.target.schema.shortestCall(arguments)
    let node = graph.call(
      call.target, positional, keywords.map { KeywordArgument($0.name, $0.value) },
      name: call.target.nodeName, metadata: metadata)
    nodeValues[node] = result
    bind(result, to: node, metadata)
    return result
  }

  public func refuse(_ error: any Error) { refusal = refusal ?? error }

  public func depend(on read: GuardedRead) {
    if !guardedReads.contains(where: { $0.variable === read.variable }) { guardedReads.append(read) }
  }

  private func bind(_ result: Value, to node: NodeID, _ metadata: NodeMetadata) {
    switch result {
    case .reference(let tensor):
      // An in-place call gives its argument, which keeps the node that it has.
      if nodes[ObjectIdentifier(tensor)] == nil { bind(tensor, to: node) }
    case .tuple(let values), .list(let values):
      for (index, value) in values.enumerated() {
        guard case .reference(let tensor) = value, nodes[ObjectIdentifier(tensor)] == nil else { continue }
        var item = metadata
        item.value = .reference(meta(of: tensor))
        bind(tensor, to: graph.getItem(node, index, metadata: item))
      }
    default: break
    }
  }
}

extension OperatorDefinition {
  /// The name that nodes calling this operator start from.
  public var nodeName: String {
    schema.name.base.hasPrefix("_") ? String(schema.name.base.drop { $0 == "_" }) : schema.name.base
  }
}

extension Tensor {
  /// A fake tensor of that metadata.
  public convenience init(fake meta: TensorMeta) throws(TensorError) {
    try self.init(fake: meta.layout, dtype: meta.dtype, device: meta.device)
  }

  /// A fake tensor of that metadata, over a storage that others share where one is given.
  package convenience init(fake meta: TensorMeta, sharing storage: Storage?) throws(TensorError) {
    let byteCount = try meta.layout.requiredByteCount(meta.dtype)
    let storage = storage ?? Storage(fakeByteCount: byteCount, device: meta.device)
    self.init(unchecked: storage, layout: meta.layout, dtype: meta.dtype)
  }
}
