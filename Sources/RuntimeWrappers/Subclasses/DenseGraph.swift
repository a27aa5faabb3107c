import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// A graph on inner tensors, and how they make up the tensors that the graph it comes from takes and gives.
public struct DenseGraph {
  public var module: GraphModule
  /// nil for an ordinary tensor.
  public let inputs: [TensorStructure?]
  /// What is no tensor stands for itself.
  public let results: [Argument<TensorStructure>]
}

extension GraphModule {
  /// This graph with every tensor of a wrapper subclass replaced by its inner tensors: its calls by those that the
  /// subclass makes of them.
  ///
  /// - Parameter inputs: What the graph's inputs are made of; nil for an ordinary tensor as the graph's metadata have
  ///   it.
  /// - Throws: What a subclass does not handle, with the user's source location.
  public func unwrappingSubclasses(inputs: [TensorStructure?]) throws -> DenseGraph {
    let unwrapping = SubclassUnwrapping(self, inputs: inputs)
    do {
      _ = try unwrapping.run(inputs.map { _ in .none })
    } catch let error as ExecutionError {
      guard var underlying = error.underlying as? any LocatedError else { throw error.underlying }
      underlying.source = error.source ?? underlying.source
      throw underlying
    }
    var module = GraphModule(unwrapping.tracer.graph, attributes: unwrapping.attributes)
    try PassPipeline([
      DeadCodeElimination(),  // first: what a subclass computed for nothing
      CommonSubexpressionElimination(),  // an inner tensor that several calls read was made anew by each
    ]).run(on: &module)
    return DenseGraph(module: module, inputs: inputs, results: unwrapping.results)
  }
}

/// Runs a graph on fake wrapper tensors and records the calls that reach ordinary ones.
private final class SubclassUnwrapping: Interpreter {
  let tracer = GraphTracer()
  private(set) var attributes: [String: Tensor] = [:]
  private(set) var results: [Argument<TensorStructure>] = []
  private var structures: IndexingIterator<[TensorStructure?]>
  private var storages: [Int: Storage] = [:]
  private var metadata = NodeMetadata()

  init(_ module: GraphModule, inputs: [TensorStructure?]) {
    structures = inputs.makeIterator()
    super.init(module)
    tracer.annotate = { [unowned self] _ in metadata }
    tracer.liftUnknown = { [unowned self] in try lift($0) }
  }

  override func run(_ arguments: [Value]) throws -> Value {
    let context = DispatchContext.current
    return try context.withGrad(false) { () throws in
      try context.withMode(UnwrappingMode(tracer)) { try context.withFakeTensors(true) { try super.run(arguments) } }
    }
  }

  override func input(_ id: NodeID, _ value: Value) throws -> Value {
    let node = module.graph[id]
    guard let meta = node.metadata.tensor, let descriptor = node.metadata.descriptor else {
      throw GraphError(.malformed, "an input about which nothing is known cannot be unwrapped", node: node.name)
    }
    guard let structure = structures.next() ?? nil else {
      let tensor = try Tensor(fake: meta, sharing: meta.storageID.flatMap { storages[$0] })
      if let id = meta.storageID { storages[id] = tensor.storage }
      tracer.addPlaceholder(node.name, for: tensor, requiresGrad: meta.requiresGrad, descriptor: descriptor)
      return .reference(tensor)
    }
    var descriptors = structure.leafDescriptors(of: descriptor).makeIterator()
    return .reference(
      try structure.wrapped { meta in
        let descriptor = descriptors.next()
        return try tracer.placeholder(descriptor?.nodeName(node.name) ?? node.name, meta, descriptor: descriptor)
      })
  }

  override func attribute(_ id: NodeID, _ path: String) throws -> Value {
    let value = try super.attribute(id, path)
    return try value.map { .reference(try constant($0, path)) }
  }

  override func call(_ id: NodeID, _ target: any Operator, _ arguments: [Value]) throws -> Value {
    metadata = module.graph[metadata: id]
    metadata.value = nil
    let result = try super.call(id, target, arguments)
    for (tensor, meta) in zip(result.references, module.graph[metadata: id].value?.references ?? [])
    where tensor.sizes != meta.sizes || tensor.dtype != meta.dtype {
      throw OperatorError(
        .shape, target.name,
        "gives \(meta.dtype) \(meta.sizes), but the tensor subclass gave \(tensor.dtype) \(tensor.sizes)")
    }
    return result
  }

  override func output(_ id: NodeID, _ value: Value) throws -> Value {
    let elements = value.elements ?? []
    results = elements.map { $0.map { .reference(TensorStructure($0)) } }
    let described = zip(results, module.graph.outputDescriptors).flatMap { result, descriptor in
      result.reference?.leafDescriptors(of: descriptor) ?? [descriptor]
    }
    let dense = elements.flatMap { $0.reference?.leaves.map { .reference($0) } ?? [$0] }
    try tracer.output(.tuple(dense), descriptors: described)
    return value
  }

  /// A tensor that a subclass made from plain numbers while it handled a call.
  private func lift(_ tensor: Tensor) throws -> Tensor {
    if tensor.subclass != nil { return tensor }
    guard !tensor.isFake else {
      throw OperatorError(.argument, nil, "a tensor subclass uses a tensor that is no value of the graph")
    }
    return try constant(tensor, "constant")
  }

  /// What stands for a tensor that is the same at every call.
  private func constant(_ tensor: Tensor, _ path: String) throws -> Tensor {
    var names = TensorStructure(tensor).leafDescriptors(of: .input(0)).map { $0.nodeName(path) }.makeIterator()
    var leaves = tensor.leaves.makeIterator()
    return try TensorStructure(tensor).wrapped { meta in
      guard let leaf = leaves.next(), let name = names.next() else { return try Tensor(fake: meta) }
      var path = name
      while let other = attributes[path], other !== leaf { path += "_" }
      attributes[path] = leaf
      return try tracer.attribute(path, TensorMeta(leaf))
    }
  }
}

/// Hands calls on wrapper tensors to their subclasses and records all others.
private final class UnwrappingMode: DispatchMode {
  private let tracer: GraphTracer

  init(_ tracer: GraphTracer) { self.tracer = tracer }

  func lift(_ tensor: Tensor) throws -> Tensor { try tracer.lift(tensor) }
  func refuse(_ error: any Error) { tracer.refuse(error) }
  func depend(on read: GuardedRead) { tracer.depend(on: read) }

  func dispatch(_ call: OperatorCall) throws -> Value {
    call.contains { $0.subclass != nil } ? try Dispatcher.execute(call) : try tracer.dispatch(call)
  }
}

extension Descriptor {
  /// A node's name with the names of the inner tensors that lead to this one: `primals_1_data`.
  fileprivate func nodeName(_ name: String) -> String {
    guard case .inner(let inner, let outer) = self else { return name }
    return "\(outer.nodeName(name))_\(inner)"
  }
}
