import GraphIR
import TensorCore

extension OperatorLibrary {
  /// Second names of operators: each call is one of the operator itself.
  static let aliases = [
    alias("subtract.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", of: sub),
    alias("multiply.Tensor(Tensor self, Tensor other) -> Tensor", of: mul),
    alias("divide.Tensor(Tensor self, Tensor other) -> Tensor", of: div),
    alias("true_divide.Tensor(Tensor self, Tensor other) -> Tensor", of: div),
    alias("greater.Tensor(Tensor self, Tensor other) -> Tensor", of: gt),
    alias("less_equal.Tensor(Tensor self, Tensor other) -> Tensor", of: le),
    alias("not_equal.Tensor(Tensor self, Tensor other) -> Tensor", of: ne),
    alias("special_expit(Tensor self) -> Tensor", of: sigmoid),
  ]

  private static func alias(_ schema: String, of target: OperatorDefinition) -> OperatorDefinition {
    OperatorDefinition(schema, .composite { call in try target.evaluate(call.arguments) })
  }
}
