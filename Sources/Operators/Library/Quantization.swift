import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let quantization = [dequantize]

  /// The values that a quantized tensor stands for; of an ordinary tensor, a copy in 32-bit floating point.
  public static let dequantize = OperatorDefinition(
    "dequantize.self(Tensor self) -> Tensor", traits: .pointwise,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        return [TensorMeta(dtype: .float32, layout: input.layout.copied(format: .preserve), device: input.device)]
      },
      lowering: { call, results, builder in builder.copy(try call.reference(0), to: results[0]) })
  )
  .derivative { $0.gradient }
}

extension Tensor {
  /// The values that a quantized tensor stands for, as an ordinary `float32` tensor; a copy of one that is not quantized.
  public func dequantized() throws -> Tensor { try OperatorLibrary.dequantize(.reference(self)) }
}
