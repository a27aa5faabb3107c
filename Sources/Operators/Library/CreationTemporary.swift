import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let newZeros = OperatorDefinition(
    """
    new_zeros(Tensor self, SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, \
    bool? pin_memory=None) -> Tensor
    """,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        return [TensorMeta(dtype: try call.optionalDType(2) ?? input.dtype, sizes: try call.symInts(1))]
      }, lowering: { _, results, builder in builder.fill(results[0], 0) })
  ).notDifferentiable()
}

extension Tensor {
  func newZeros(_ sizes: [SymInt]) throws -> Tensor { try OperatorLibrary.newZeros(.reference(self), Value(sizes)) }
}
