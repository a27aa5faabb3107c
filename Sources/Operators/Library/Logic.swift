import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let logic =
    [
      logicalAnd, logicalOr, logicalXor, logicalNot, bitwiseAnd, bitwiseOr, bitwiseXor, bitwiseAndScalar,
      bitwiseOrScalar,
      bitwiseXorScalar, bitwiseNot,
    ] + operatorForms

  // Of whether elements are other than zero; they give bool.

  public static let logicalAnd = logical("logical_and", .bitwiseAnd)
  public static let logicalOr = logical("logical_or", .bitwiseOr)
  public static let logicalXor = logical("logical_xor", .bitwiseXor)

  public static let logicalNot = unary("logical_not(Tensor self) -> Tensor", promotion: .comparison) {
    .unary(.logicalNot, .cast(.bool, $0))
  }
  .notDifferentiable()
  .inPlaceVariant()

  // Of bits; of bool as the logical ones.

  public static let bitwiseAnd = bitwise("bitwise_and", .bitwiseAnd)
  public static let bitwiseOr = bitwise("bitwise_or", .bitwiseOr)
  public static let bitwiseXor = bitwise("bitwise_xor", .bitwiseXor)
  public static let bitwiseAndScalar = bitwiseWithNumber("bitwise_and", .bitwiseAnd)
  public static let bitwiseOrScalar = bitwiseWithNumber("bitwise_or", .bitwiseOr)
  public static let bitwiseXorScalar = bitwiseWithNumber("bitwise_xor", .bitwiseXor)

  public static let bitwiseNot = unary("bitwise_not(Tensor self) -> Tensor", accepts: .bits) { .unary(.bitwiseNot, $0) }
    .notDifferentiable()
    .inPlaceVariant()

  private static func logical(_ name: String, _ operation: BinaryOperation) -> OperatorDefinition {
    binary("\(name)(Tensor self, Tensor other) -> Tensor", promotion: .comparison) {
      .binary(operation, .cast(.bool, $0), .cast(.bool, $1))
    }
    .notDifferentiable()
    .inPlaceVariant()
  }

  private static func bitwise(_ name: String, _ operation: BinaryOperation) -> OperatorDefinition {
    binary("\(name).Tensor(Tensor self, Tensor other) -> Tensor", accepts: .bits) { .binary(operation, $0, $1) }
      .notDifferentiable()
      .inPlaceVariant()
  }

  private static func bitwiseWithNumber(_ name: String, _ operation: BinaryOperation) -> OperatorDefinition {
    binary(
      "\(name).Scalar(Tensor self, Scalar other) -> Tensor", operands: ["self", "other"], accepts: .bits
    ) { .binary(operation, $0, $1) }
    .notDifferentiable()
    .inPlaceVariant()
  }
}

extension OperatorLibrary {
  /// What Python's operators &, | and ^ call: the bitwise operators.
  fileprivate static let operatorForms = [
    ("and", bitwiseAnd, bitwiseAndScalar), ("or", bitwiseOr, bitwiseOrScalar), ("xor", bitwiseXor, bitwiseXorScalar),
  ].flatMap { name, tensor, number in
    [("Tensor", tensor), ("Scalar", number)].flatMap { type, target in
      [
        OperatorDefinition(
          "__\(name)__.\(type)(Tensor self, \(type) other) -> Tensor",
          .composite { try target.evaluate($0.arguments) }),
        OperatorDefinition(
          "__i\(name)__.\(type)(Tensor(a!) self, \(type) other) -> Tensor(a!)",
          .composite { try target.inPlace.evaluate($0.arguments) }),
      ]
    }
  }
}

extension Tensor {
  public func logicalAnd(_ other: Tensor) throws -> Tensor {
    try OperatorLibrary.logicalAnd(.reference(self), .reference(other))
  }
  public func logicalOr(_ other: Tensor) throws -> Tensor {
    try OperatorLibrary.logicalOr(.reference(self), .reference(other))
  }
  public func logicalXor(_ other: Tensor) throws -> Tensor {
    try OperatorLibrary.logicalXor(.reference(self), .reference(other))
  }
  public func logicalNot() throws -> Tensor { try OperatorLibrary.logicalNot(.reference(self)) }

  public func bitwiseAnd(_ other: some TensorOperand) throws -> Tensor {
    let value = other.operandValue
    return try (value.scalar == nil ? OperatorLibrary.bitwiseAnd : OperatorLibrary.bitwiseAndScalar)(
      .reference(self), value)
  }
  public func bitwiseOr(_ other: some TensorOperand) throws -> Tensor {
    let value = other.operandValue
    return try (value.scalar == nil ? OperatorLibrary.bitwiseOr : OperatorLibrary.bitwiseOrScalar)(
      .reference(self), value)
  }
  public func bitwiseXor(_ other: some TensorOperand) throws -> Tensor {
    let value = other.operandValue
    return try (value.scalar == nil ? OperatorLibrary.bitwiseXor : OperatorLibrary.bitwiseXorScalar)(
      .reference(self), value)
  }
  public func bitwiseNot() throws -> Tensor { try OperatorLibrary.bitwiseNot(.reference(self)) }
}
