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
    let lowering = try GraphLowering(module)
    return try CompiledLoops(lowering, executable: backend.compile(lowering.program.fused()), module: module)
  }
}

private final class CompiledLoops: CompiledGraph, @unchecked Sendable {
  // Sendable: everything is constant after `init`, the attributes' elements included.
  private let placeholderCount: Int
  private let externals: [GraphLowering.External]
  private let outputs: [GraphLowering.Output]
  private let writtenExternals: [Int]
  private let executable: any LoopExecutable
  private let attributes: [String: Tensor]

  init(_ lowering: GraphLowering, executable: any LoopExecutable, module: GraphModule) throws {
    self.placeholderCount = module.graph.placeholders.count
    self.externals = lowering.externals
    self.outputs = lowering.outputs
    self.writtenExternals = lowering.writtenExternals
    self.executable = executable
    var attributes: [String: Tensor] = [:]
    for case .attribute(let path) in externals { attributes[path] = module.attribute(path) }
    self.attributes = attributes
  }

  var workspaceByteCount: Int? { executable.arenaByteCount }

  func run(_ arguments: [Value]) throws -> [Value] {
    guard arguments.count == placeholderCount else {
      throw GraphError(
        .invalidArgument, "a compiled graph takes \(placeholderCount) arguments, got \(arguments.count)")
    }
    // The tensors whose memory is passed stay alive, in order, until the run is over.
    var tensors: [Tensor] = []
    tensors.reserveCapacity(externals.count)
    for external in externals { tensors.append(try tensor(for: external, arguments)) }
    for position in writtenExternals {
      guard case .placeholder(let argument, _) = externals[position],
        tensors[position] === arguments[argument].reference
      else {
        throw GraphError(.invalidArgument, "a tensor that is written to has other strides than it was compiled for")
      }
    }
    // A run that fails at an index out of range may have written before.
    defer { for position in writtenExternals { tensors[position].storage.bumpVersion() } }
    try withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer?.self, capacity: tensors.count) { addresses in
      for (index, tensor) in tensors.enumerated() { addresses.initializeElement(at: index, to: tensor.dataAddress) }
      do {
        try executable.run(UnsafeBufferPointer(addresses))
      } catch let error as LoopError where error.code == .indexOutOfRange {
        throw OperatorError(.index, nil, error.message)
      }
    }
    return outputs.map { value(of: $0, tensors) }
  }

  private func tensor(for external: GraphLowering.External, _ arguments: [Value]) throws -> Tensor {
    switch external {
    case .placeholder(let position, let meta):
      guard let tensor = arguments[position].reference else {
        throw GraphError(.invalidArgument, "argument \(position) of a compiled graph must be a tensor")
      }
      return try fitted(tensor, to: meta)
    case .attribute(let path):
      guard let tensor = attributes[path] else { throw GraphError(.missingAttribute, "'\(path)' is missing") }
      return tensor
    case .result(let dtype, let elementCount):
      let storage = try Storage(byteCount: elementCount * dtype.byteCount)
      storage.isInference = DispatchContext.current.isInferenceMode
      return try Tensor(
        storage: storage, layout: Layout(sizes: [SymInt(elementCount)], strides: [1]), dtype: dtype)
    }
  }

  /// The tensor, or a copy of it with the strides that the loops were compiled for.
  private func fitted(_ tensor: Tensor, to meta: TensorMeta) throws -> Tensor {
    guard tensor.layout.sizes == meta.layout.sizes, tensor.dtype == meta.dtype else {
      throw GraphError(
        .invalidArgument,
        "a \(tensor.dtype) tensor of shape \(tensor.sizes) came where the graph was compiled for \(meta.dtype) \(meta.sizes)"
      )
    }
    if tensor.layout.strides == meta.layout.strides || tensor.layout.isEmpty { return tensor }
    let copy = try Tensor(uninitialized: Layout(sizes: meta.sizes, strides: meta.layout.strides), dtype: meta.dtype)
    return try copy.copy_(tensor)
  }

  private func value(of output: GraphLowering.Output, _ tensors: [Tensor]) -> Value {
    switch output {
    case .external(let position, var layout, let dtype):
      layout.offset += tensors[position].layout.offset
      return .reference(Tensor(unchecked: tensors[position].storage, layout: layout, dtype: dtype))
    case .constant(let constant): return constant.widened()
    case .list(let elements): return .list(elements.map { value(of: $0, tensors) })
    }
  }
}
