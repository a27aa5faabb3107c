import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let shifts = [
    bitwiseLeftShift, bitwiseLeftShiftScalar, bitwiseLeftShiftScalarBase, bitwiseRightShift, bitwiseRightShiftScalar,
    bitwiseRightShiftScalarBase, leftShift, leftShiftScalar, rightShift, rightShiftScalar,
  ]

  // Of integers. Counts that are negative or not below the width leave nothing, or of a number shifted right its sign.

  public static let bitwiseLeftShift = shift("bitwise_left_shift.Tensor(Tensor self, Tensor other)", .shiftLeft)
    .inPlaceVariant()
  public static let bitwiseLeftShiftScalar = shift(
    "bitwise_left_shift.Tensor_Scalar(Tensor self, Scalar other)", .shiftLeft
  )
  .inPlaceVariant()
  public static let bitwiseLeftShiftScalarBase = shift(
    "bitwise_left_shift.Scalar_Tensor(Scalar self, Tensor other)", .shiftLeft)

  public static let bitwiseRightShift = shift("bitwise_right_shift.Tensor(Tensor self, Tensor other)", .shiftRight)
    .inPlaceVariant()
  public static let bitwiseRightShiftScalar = shift(
    "bitwise_right_shift.Tensor_Scalar(Tensor self, Scalar other)", .shiftRight
  )
  .inPlaceVariant()
  public static let bitwiseRightShiftScalarBase = shift(
    "bitwise_right_shift.Scalar_Tensor(Scalar self, Tensor other)", .shiftRight)

  // Python's << and >>.

  public static let leftShift = shift("__lshift__.Tensor(Tensor self, Tensor other)", .shiftLeft)
    .inPlaceVariant(named: "__ilshift__")
  public static let leftShiftScalar = shift("__lshift__.Scalar(Tensor self, Scalar other)", .shiftLeft)
    .inPlaceVariant(named: "__ilshift__")
  public static let rightShift = shift("__rshift__.Tensor(Tensor self, Tensor other)", .shiftRight)
    .inPlaceVariant(named: "__irshift__")
  public static let rightShiftScalar = shift("__rshift__.Scalar(Tensor self, Scalar other)", .shiftRight)
    .inPlaceVariant(named: "__irshift__")

  private static func shift(_ call: String, _ operation: BinaryOperation) -> OperatorDefinition {
    binary("\(call) -> Tensor", operands: ["self", "other"], accepts: .integer) { .binary(operation, $0, $1) }
      .notDifferentiable()
  }
}

extension Tensor {
  public func bitwiseLeftShift(_ count: some TensorOperand) throws -> Tensor {
    let value = count.operandValue
    return try (value.scalar == nil ? OperatorLibrary.bitwiseLeftShift : OperatorLibrary.bitwiseLeftShiftScalar)(
      .reference(self), value)
  }

  public func bitwiseRightShift(_ count: some TensorOperand) throws -> Tensor {
    let value = count.operandValue
    return try (value.scalar == nil ? OperatorLibrary.bitwiseRightShift : OperatorLibrary.bitwiseRightShiftScalar)(
      .reference(self), value)
  }
}
