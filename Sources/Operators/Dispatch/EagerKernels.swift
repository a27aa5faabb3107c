import CPUBackend
import GraphIR
import LoopIR
import TensorCore

/// Runs single operators: a loop program of one operator, compiled once per signature.
enum EagerKernels {
  private static let cache = Locked<[Signature: any LoopExecutable]>([:])
  private static let capacity = 4096

  /// All that a one-operator program depends on.
  private struct Signature: Hashable {
    let target: ObjectIdentifier
    let arguments: [Argument<OperandKey>]
    let results: [OperandKey]
  }

  private struct OperandKey: Hashable {
    /// Which of the distinct memory places this is.
    let external: Int
    let dtype: DType
    let sizes: [SymInt]
    let strides: [SymInt]
  }

  static func run(_ call: OperatorCall, results: [Tensor], lowering: OperatorDefinition.Lowering) throws {
    var memory = ExternalMemory()
    let signature = Signature(
      target: ObjectIdentifier(call.target),
      arguments: try call.arguments.map {
        try $0.map { tensor throws(TensorError) in .reference(try memory.key(tensor)) }
      },
      results: try results.map { try memory.key($0) })
    let executable = try cache.withLock { $0[signature] } ?? compile(signature, call, memory, lowering)
    do {
      try memory.addresses.withUnsafeBufferPointer { try executable.run($0) }
    } catch let error as LoopError where error.code == .indexOutOfRange {
      let position = signature.arguments.firstIndex { $0.references.contains { $0.external == error.external } }
      let argument = position.map { "argument '\(call.target.schema.parameters[$0].name)': " } ?? ""
      throw OperatorError(.index, call.target.name, argument + error.message)
    }
  }

  /// Copies elements, converting to the destination's dtype.
  static func copy(_ source: Tensor, to destination: Tensor) throws {
    try run(OperatorCall(OperatorLibrary.clone, [.reference(source), .none]), results: [destination]) {
      call, results, builder in
      builder.copy(try call.reference(0), to: results[0])
    }
  }

  private static func compile(
    _ signature: Signature, _ call: OperatorCall, _ memory: ExternalMemory, _ lowering: OperatorDefinition.Lowering
  ) throws -> any LoopExecutable {
    var builder = LoopBuilder()
    let buffers = memory.elements.map { builder.external($0.dtype, elementCount: $0.count) }
    func operand(_ key: OperandKey) -> Operand {
      Operand(buffer: buffers[key.external], dtype: key.dtype, sizes: key.sizes.values, strides: key.strides.values)
    }
    let arguments = signature.arguments.map { argument in
      argument.map { (key: OperandKey) -> Argument<Operand> in .reference(operand(key)) }
    }
    try lowering(LoweringCall(call.target, arguments), signature.results.map(operand), &builder)
    let executable = try CPUBackend.shared.compile(builder.program.fused())
    cache.withLock {
      if $0.count >= capacity { $0.removeAll(keepingCapacity: true) }
      $0[signature] = executable
    }
    return executable
  }

  /// The distinct places in memory that a call reads and writes.
  private struct ExternalMemory {
    var addresses: [UnsafeMutableRawPointer?] = []
    var elements: [(dtype: DType, count: Int)] = []

    mutating func key(_ tensor: Tensor) throws(TensorError) -> OperandKey {
      guard let address = tensor.dataAddress else {
        throw TensorError(.noMemory, "a fake tensor has no elements to compute with")
      }
      let count = tensor.layout.elementRange.upperBound - tensor.layout.offset.value
      var external = addresses.firstIndex(of: address)
      if let known = external, elements[known].dtype != tensor.dtype { external = nil }
      if let known = external {
        elements[known].count = max(elements[known].count, count)
      } else {
        addresses.append(address)
        elements.append((tensor.dtype, count))
      }
      return OperandKey(
        external: external ?? addresses.count - 1, dtype: tensor.dtype, sizes: tensor.sizes, strides: tensor.strides)
    }
  }
}
