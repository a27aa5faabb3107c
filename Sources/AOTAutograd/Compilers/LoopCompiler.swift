import AOTArtifacts
import CPUBackend
import GraphIR
import LoopIR
import Operators
import TensorCore

/// Compiles graphs into fused loop programs that a backend runs.
public struct LoopCompiler: GraphCompiler {
  public let name: String
  private let backend: any LoopBackend

  public init(name: String, backend: any LoopBackend) {
    self.name = name
    self.backend = backend
  }

  public static let cpu = LoopCompiler(name: "cpu", backend: CPUBackend.shared)

  public func compile(_ module: GraphModule, role: GraphRole) throws -> any CompiledGraph {
    try compile(module, role: role, donating: [])
  }

  public func compile(_ module: GraphModule, role: GraphRole, donating arguments: [Int]) throws -> any CompiledGraph {
    let lowering = try GraphLowering(module)
    var program = lowering.program.fused()
    let reused = program.reuseMemory(of: lowering.donatedExternals(arguments), for: lowering.resultExternals)
    return try CompiledLoops(lowering, reusing: reused, executable: backend.compile(program), module: module)
  }
}

private final class CompiledLoops: CompiledGraph, @unchecked Sendable {
  // Sendable: everything is constant after `init`, the attributes' elements included.

  /// Where the memory of an external comes from; by position in the list of its kind.
  private enum Origin {
    case placeholder(argument: Int, meta: Int)
    case attribute(Int)
    case result(byteCount: Int)
    /// The memory of an argument that is donated, by the position of its external.
    case reused(Int)
  }

  /// The metadata of an argument, as an object: it is looked at in its place, and never copied.
  private final class Expected: Sendable {
    let meta: TensorMeta
    init(_ meta: TensorMeta) { self.meta = meta }
  }

  private let placeholderCount: Int
  private let origins: [Origin]
  private let metas: [Expected]
  private let attributes: [Tensor]
  private let outputs: [GraphLowering.Output]
  /// The externals that are written to, and the arguments that they are.
  private let written: [(external: Int, argument: Int)]
  private let executable: any LoopExecutable

  /// - Parameter reused: The externals of results that lie in the memory of other externals, and of which.
  init(
    _ lowering: GraphLowering, reusing reused: [Int: Int], executable: any LoopExecutable, module: GraphModule
  ) throws {
    var metas: [Expected] = []
    var attributes: [Tensor] = []
    origins = try lowering.externals.enumerated().map { position, external in
      if let donated = reused[position] { return .reused(donated) }
      switch external {
      case .placeholder(let argument, let meta):
        metas.append(Expected(meta))
        return .placeholder(argument: argument, meta: metas.count - 1)
      case .attribute(let path):
        guard let tensor = module.attribute(path) else { throw GraphError(.missingAttribute, "'\(path)' is missing") }
        attributes.append(tensor)
        return .attribute(attributes.count - 1)
      case .result(let dtype, let elementCount): return .result(byteCount: elementCount * dtype.byteCount)
      }
    }
    self.metas = metas
    self.attributes = attributes
    self.executable = executable
    placeholderCount = module.graph.placeholders.count
    outputs = lowering.outputs
    written = lowering.writtenExternals.compactMap { external in
      guard case .placeholder(let argument, _) = lowering.externals[external] else { return nil }
      return (external, argument)
    }
  }

  var workspaceByteCount: Int? { executable.arenaByteCount }

  func run(_ arguments: [Value]) throws -> [Value] { try run(arguments.count) { arguments[$0].reference } }

  func run(tensors: [Tensor]) throws -> [Value] { try run(tensors.count) { tensors[$0] } }

  @inline(__always)
  private func run(_ count: Int, _ argument: (Int) -> Tensor?) throws -> [Value] {
    guard count == placeholderCount else {
      throw GraphError(.invalidArgument, "a compiled graph takes \(placeholderCount) arguments, got \(count)")
    }
    // What is passed stays alive, in order, until the run is over.
    var memories: [MemoryPlace] = []
    memories.reserveCapacity(origins.count)
    for origin in origins { memories.append(try memory(origin, argument, memories)) }
    for (external, position) in written where memories[external].storage !== argument(position)?.storage {
      throw GraphError(.invalidArgument, "a tensor that is written to has other strides than it was compiled for")
    }
    // A run that fails at an index out of range may have written before.
    defer { for (external, _) in written { memories[external].storage.bumpVersion() } }
    try withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer?.self, capacity: memories.count) { addresses in
      for index in memories.indices { addresses.initializeElement(at: index, to: memories[index].address) }
      do {
        try executable.run(UnsafeBufferPointer(addresses))
      } catch let error as LoopError where error.code == .indexOutOfRange {
        throw OperatorError(.index, nil, error.message)
      }
    }
    return outputs.map { value(of: $0, memories) }
  }

  /// - Parameter earlier: The memory of the externals before this one.
  private func memory(_ origin: Origin, _ argument: (Int) -> Tensor?, _ earlier: [MemoryPlace]) throws -> MemoryPlace {
    switch origin {
    case .placeholder(let position, let meta):
      guard let tensor = argument(position) else {
        throw GraphError(.invalidArgument, "argument \(position) of a compiled graph must be a tensor")
      }
      return MemoryPlace(try fitted(tensor, to: metas[meta]))
    case .attribute(let index): return MemoryPlace(attributes[index])
    case .result(let byteCount):
      return newResult(try Storage(byteCount: byteCount))
    case .reused(let external):
      // A storage of its own, as a result has: neither its age nor its version are those of what was saved.
      return newResult(earlier[external].storage.movingMemory())
    }
  }

  private func newResult(_ storage: Storage) -> MemoryPlace {
    storage.isInference = DispatchContext.current.isInferenceMode
    return MemoryPlace(storage)
  }

  /// The tensor, or a copy of it with the strides that the loops were compiled for.
  private func fitted(_ tensor: Tensor, to expected: Expected) throws -> Tensor {
    if tensor.has(expected.meta.dtype, expected.meta.layout.sizes, expected.meta.layout.strides) { return tensor }
    let meta = expected.meta
    guard tensor.sizes == meta.sizes, tensor.dtype == meta.dtype else {
      throw GraphError(
        .invalidArgument,
        "a \(tensor.dtype) tensor of shape \(tensor.sizes) came where the graph was compiled for \(meta.dtype) \(meta.sizes)"
      )
    }
    if tensor.layout.isEmpty { return tensor }
    let copy = try Tensor(uninitialized: Layout(sizes: meta.sizes, strides: meta.layout.strides), dtype: meta.dtype)
    return try copy.copy_(tensor)
  }

  private func value(of output: GraphLowering.Output, _ memories: [MemoryPlace]) -> Value {
    switch output {
    case .external(let position, var layout, let dtype):
      layout.offset += memories[position].offset
      return .reference(Tensor(unchecked: memories[position].storage, layout: layout, dtype: dtype))
    case .constant(let constant): return constant.widened()
    case .list(let elements): return .list(elements.map { value(of: $0, memories) })
    }
  }
}
