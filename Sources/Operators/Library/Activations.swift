import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let activations = [tanh]

  /// tanh(x), elementwise. Integers are promoted to the default floating-point type.
  public static let tanh = unary("tanh(Tensor self) -> Tensor", promotion: .intToFloat) { LoopIR.tanh($0) }
    .derivative(saving: ["result"]) { try $0.gradient * (1 - $0.result * $0.result) }
    .inPlaceVariant()
}

extension Tensor {
  public func tanh() throws -> Tensor { try OperatorLibrary.tanh(.reference(self)) }
}
