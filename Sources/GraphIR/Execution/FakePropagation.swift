import TensorCore

/// Fills in what each node of a graph gives, by running the graph on tensors without memory.
///
/// Tensors that share a storage get the same `storageID`. What a tensor cannot say, such as `requiresGrad`, is kept from the
/// metadata that a node already had.
public struct FakePropagation {
  private let describe: (Tensor) -> TensorMeta

  /// - Parameter describe: The metadata of a tensor; layers that know more about tensors, such as autograd state, add it here.
  public init(describing describe: @escaping (Tensor) -> TensorMeta = { TensorMeta($0) }) {
    self.describe = describe
  }

  /// Runs the module on its inputs as their metadata describes them.
  ///
  /// - Throws: `GraphError` for an input without metadata; `ExecutionError` for what a shape rule throws, naming the node. The
  ///   module is unchanged then.
  public func run(on module: inout GraphModule) throws {
    let graph = module.graph
    let fakes = FakeTensors(for: graph.placeholders.compactMap { graph[$0].metadata.value })
    let inputs = try graph.placeholders.map { id in
      guard let value = graph[id].metadata.value else {
        throw GraphError(.malformed, "an input without metadata cannot be made", node: graph[id].name)
      }
      return try fakes.value(of: value)
    }
    try run(on: &module, inputs: inputs, fakes)
  }

  /// Runs the module on inputs like these; none of them is read or written.
  public func run(on module: inout GraphModule, inputs: [Value]) throws {
    let fakes = FakeTensors()
    let inputs = try inputs.map { try fakes.fake($0) }
    try run(on: &module, inputs: inputs, fakes)
  }

  private func run(on module: inout GraphModule, inputs: [Value], _ fakes: FakeTensors) throws {
    let recorder = Recorder(module, fakes: fakes, describe: describe)
    _ = try recorder.run(inputs)
    module.graph = recorder.graph
  }
}

/// Runs on fake tensors and notes what each node gives.
private final class Recorder: Interpreter {
  var graph: Graph
  private let fakes: FakeTensors
  private let describe: (Tensor) -> TensorMeta

  init(_ module: GraphModule, fakes: FakeTensors, describe: @escaping (Tensor) -> TensorMeta) {
    graph = module.graph
    self.fakes = fakes
    self.describe = describe
    super.init(module)
  }

  override func input(_ id: NodeID, _ value: Value) throws -> Value { record(id, value) }

  override func attribute(_ id: NodeID, _ path: String) throws -> Value {
    record(id, try fakes.fake(try super.attribute(id, path)))
  }

  override func call(_ id: NodeID, _ target: any Operator, _ arguments: [Value]) throws -> Value {
    // Shape rules run on fake tensors. Without one among the arguments a call would do what it does: a constant may be made for
    // its shape, but nothing may be printed, and no random number drawn.
    let isReal =
      !target.traits.isDisjoint(with: [.effectful, .random]) && !arguments.contains { !$0.references.isEmpty }
    if isReal, !target.traits.contains(.callsGraphs) {
      if let known = graph[id].metadata.value { return try fakes.value(of: known) }
      if target.traits.contains(.effectful) { return .none }
    }
    return record(id, try fakes.fake(try super.call(id, target, arguments)))
  }

  override func interpreter(for module: GraphModule) -> Interpreter {
    Recorder(module, fakes: fakes, describe: describe)
  }

  private func record(_ id: NodeID, _ value: Value) -> Value {
    let known = graph[id].metadata.value?.references ?? []
    var position = 0
    graph[metadata: id].value = value.map { (tensor: Tensor) -> MetaValue in
      var meta = describe(tensor)
      meta.storageID = fakes.number(of: tensor.storage)
      if position < known.count, known[position].requiresGrad { meta.requiresGrad = true }
      position += 1
      return .reference(meta)
    }
    return value
  }
}
