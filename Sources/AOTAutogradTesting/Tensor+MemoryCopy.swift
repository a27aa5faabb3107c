import EagerAutograd
import TensorCore

extension Tensor {
  /// A copy with the same layout over a copy of all the memory: it may be written to, and its gradient goes to this tensor.
  package func copiedWithMemory() throws -> Tensor { try MemoryCopy()(self) }
}

private struct MemoryCopy: DifferentiableFunction {
  func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor] {
    try inputs.map { input in
      guard let source = input.storage.baseAddress else {
        throw TensorError(.noMemory, "a fake tensor has no elements to copy")
      }
      let storage = try Storage(byteCount: input.storage.byteCount, device: input.device)
      storage.baseAddress?.copyMemory(from: source, byteCount: storage.byteCount)
      return try Tensor(storage: storage, layout: input.layout, dtype: input.dtype)
    }
  }

  func backward(_ gradients: [Tensor?], _ context: FunctionContext) -> [Tensor?] { gradients }
}
