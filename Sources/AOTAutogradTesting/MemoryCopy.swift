import EagerAutograd
import TensorCore

/// Copies of tensors with the same layouts over copies of all their memory: they may be written to, and gradients go to the
/// originals.
package struct MemoryCopy: DifferentiableFunction {
  package init() {}

  package func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor] {
    try inputs.map { input in
      guard let source = input.storage.baseAddress else {
        throw TensorError(.noMemory, "a fake tensor has no elements to copy")
      }
      let storage = try Storage(byteCount: input.storage.byteCount, device: input.device)
      storage.baseAddress?.copyMemory(from: source, byteCount: storage.byteCount)
      return try Tensor(storage: storage, layout: input.layout, dtype: input.dtype)
    }
  }

  package func backward(_ gradients: [Tensor?], _ context: FunctionContext) -> [Tensor?] { gradients }
}
