import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let arithmetic = [
    add, addScalar, sub, subScalar, rsub, rsubScalar, mul, mulScalar, neg, positive, square, squareInPlace,
    deg2rad, rad2deg,
  ]

  /// self + alpha · other
  public static let add = pointwise(
    "add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", check: checkAlpha
  ) { x, call in x[0] + scaled(x[1], by: try call.scalar(2)) }
  .derivative(of: "self") { $0.gradient }
  .derivative(of: "other") { try $0.gradient.scaled(by: $0.call.scalar(2)) }
  .inPlaceVariant()

  public static let addScalar = pointwise(
    "add.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", operands: ["self", "other"], check: checkAlpha
  ) { x, call in x[0] + scaled(x[1], by: try call.scalar(2)) }
  .derivative { $0.gradient }
  .inPlaceVariant()

  /// self - alpha · other
  public static let sub = pointwise(
    "sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", check: checkSubtraction
  ) { x, call in x[0] - scaled(x[1], by: try call.scalar(2)) }
  .derivative(of: "self") { $0.gradient }
  .derivative(of: "other") { try -$0.gradient.scaled(by: $0.call.scalar(2)) }
  .inPlaceVariant()

  public static let subScalar = pointwise(
    "sub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", operands: ["self", "other"],
    check: checkSubtraction
  ) { x, call in x[0] - scaled(x[1], by: try call.scalar(2)) }
  .derivative { $0.gradient }
  .inPlaceVariant()

  /// other - alpha · self
  public static let rsub = pointwise(
    "rsub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", operands: ["other", "self"],
    check: checkSubtraction
  ) { x, call in x[0] - scaled(x[1], by: try call.scalar(2)) }
  .derivative(of: "self") { try -$0.gradient.scaled(by: $0.call.scalar(2)) }
  .derivative(of: "other") { $0.gradient }

  public static let rsubScalar = pointwise(
    "rsub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", operands: ["self", "other"],
    check: checkSubtraction
  ) { x, call in x[1] - scaled(x[0], by: try call.scalar(2)) }
  .derivative { try -$0.gradient.scaled(by: $0.call.scalar(2)) }

  public static let mul = binary("mul.Tensor(Tensor self, Tensor other) -> Tensor") { $0 * $1 }
    .derivative(of: "self", saving: ["other"]) { try $0.gradient * $0["other"] }
    .derivative(of: "other", saving: ["self"]) { try $0.gradient * $0["self"] }
    .inPlaceVariant()

  public static let mulScalar = binary(
    "mul.Scalar(Tensor self, Scalar other) -> Tensor", operands: ["self", "other"]
  ) { $0 * $1 }
  .derivative { try $0.gradient * $0["other"] }
  .inPlaceVariant()

  public static let neg = unary("neg(Tensor self) -> Tensor", accepts: .numeric) { -$0 }
    .derivative { try -$0.gradient }
    .inPlaceVariant()

  /// The tensor itself.
  public static let positive = OperatorDefinition(
    "positive(Tensor(a) self) -> Tensor(a)",
    .composite { call in
      guard try call.tensor(0).dtype != .bool else {
        throw OperatorError(.dtype, call.target.name, "is not defined for bool")
      }
      return call.arguments[0]
    })

  public static let square = OperatorDefinition(
    "square(Tensor self) -> Tensor",
    .composite { .reference(try powScalarExponent($0.arguments[0], .int(2))) })

  public static let squareInPlace = OperatorDefinition(
    "square_(Tensor(a!) self) -> Tensor(a!)",
    .composite { .reference(try powScalarExponent.inPlace($0.arguments[0], .int(2))) })

  public static let deg2rad = scaling("deg2rad", by: .pi / 180)
  public static let rad2deg = scaling("rad2deg", by: 180 / .pi)

  private static func scaling(_ name: String, by factor: Double) -> OperatorDefinition {
    unary("\(name)(Tensor self) -> Tensor", promotion: .intToFloat) { $0 * .constant(.double(factor)) }
      .derivative { try $0.gradient * factor }
      .inPlaceVariant()
  }

  private static func scaled(_ x: ScalarExpression, by factor: Scalar) -> ScalarExpression {
    factor.doubleValue == 1 ? x : x * .constant(factor)
  }

  @Sendable private static func checkAlpha(_ call: OperatorCall, common: DType) throws {
    let alpha = try call.scalar(2)
    if case .double = alpha, !common.isFloatingPoint {
      throw OperatorError(
        .dtype, call.target.name, "alpha must be an integer for operands of type \(common), got \(alpha)")
    }
    try call.checkNumber(2, fits: common)
    if case .bool = alpha, common != .bool {
      throw OperatorError(.dtype, call.target.name, "alpha may be a bool for bool operands only, got them as \(common)")
    }
  }

  @Sendable private static func checkSubtraction(_ call: OperatorCall, common: DType) throws {
    for operand in call.arguments.prefix(2) {
      if (operand.reference?.dtype ?? operand.scalar?.dtype) == .bool {
        throw OperatorError(.dtype, call.target.name, "is not defined for bool; use logical_xor or logical_not")
      }
    }
    try checkAlpha(call, common: common)
  }
}

extension Tensor {
  /// self + alpha · other, broadcast.
  public func add(_ other: some TensorOperand, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.add(.reference(self), other.operandValue, Value(alpha))
  }

  /// Adds alpha · other to this tensor's elements.
  @discardableResult
  public func add_(_ other: some TensorOperand, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.add.inPlace(.reference(self), other.operandValue, Value(alpha))
  }

  /// self - alpha · other, broadcast.
  public func sub(_ other: some TensorOperand, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.sub(.reference(self), other.operandValue, Value(alpha))
  }

  @discardableResult
  public func sub_(_ other: some TensorOperand, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.sub.inPlace(.reference(self), other.operandValue, Value(alpha))
  }

  /// other - alpha · self, broadcast.
  public func rsub(_ other: some TensorOperand, alpha: Scalar = 1) throws -> Tensor {
    let value = other.operandValue
    let operation = value.scalar == nil ? OperatorLibrary.rsub : OperatorLibrary.rsubScalar
    return try operation(.reference(self), value, Value(alpha))
  }

  public func mul(_ other: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.mul(.reference(self), other.operandValue)
  }

  @discardableResult
  public func mul_(_ other: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.mul.inPlace(.reference(self), other.operandValue)
  }

  public func neg() throws -> Tensor { try OperatorLibrary.neg(.reference(self)) }
  @discardableResult public func neg_() throws -> Tensor { try OperatorLibrary.neg.inPlace(.reference(self)) }
  public func deg2rad() throws -> Tensor { try OperatorLibrary.deg2rad(.reference(self)) }
  public func rad2deg() throws -> Tensor { try OperatorLibrary.rad2deg(.reference(self)) }
  public func square() throws -> Tensor { try OperatorLibrary.square(.reference(self)) }

  public static func + (a: Tensor, b: some TensorOperand) throws -> Tensor { try a.add(b) }
  public static func - (a: Tensor, b: some TensorOperand) throws -> Tensor { try a.sub(b) }
  public static func * (a: Tensor, b: some TensorOperand) throws -> Tensor { try a.mul(b) }
  public static func / (a: Tensor, b: some TensorOperand) throws -> Tensor { try a.div(b) }
  public static prefix func - (a: Tensor) throws -> Tensor { try a.neg() }

  // With a plain number on the left.
  public static func + (a: some NumberOperand, b: Tensor) throws -> Tensor { try b.add(a) }
  public static func * (a: some NumberOperand, b: Tensor) throws -> Tensor { try b.mul(a) }
  public static func - (a: some NumberOperand, b: Tensor) throws -> Tensor { try b.rsub(a) }
  public static func / (a: some NumberOperand, b: Tensor) throws -> Tensor { try b.reciprocal().mul(a) }

  /// This tensor times a number; itself where that is 1.
  func scaled(by factor: Scalar) throws -> Tensor { factor.doubleValue == 1 ? self : try mul(factor) }
}
