import GraphIR
import LoopIR
import TensorCore

/// Logarithms of more than one number.
extension OperatorLibrary {
  static let logarithms = [
    logaddexp, logaddexp2, xlogy, xlogyScalarOther, xlogyScalarSelf, logit, logitBackward,
  ]

  /// log(exp(self) + exp(other)), without overflow.
  public static let logaddexp = binary(
    "logaddexp(Tensor self, Tensor other) -> Tensor", accepts: .floatingPoint
  ) { a, b in
    // Equal infinities have no difference.
    let distance = ScalarExpression.unary(.absolute, a - b)
    let correction = ScalarExpression.unary(.log1p, .unary(.exp, -distance))
    return select(a .== b, a + .constant(.double(logarithmOf2)), .binary(.maximum, a, b) + correction)
  }
  .derivative(of: "self", saving: ["self", "other"]) { d in
    try d.gradient / (1 + (d.tensor("other") - d["self"]).exp())
  }
  .derivative(of: "other", saving: ["self", "other"]) { d in
    try d.gradient / (1 + (d.tensor("self") - d["other"]).exp())
  }

  /// log₂(2^self + 2^other), without overflow.
  public static let logaddexp2 = binary(
    "logaddexp2(Tensor self, Tensor other) -> Tensor", accepts: .floatingPoint
  ) { a, b in
    let distance = ScalarExpression.unary(.absolute, a - b)
    let correction = .unary(.log1p, .binary(.power, 2, -distance)) * .constant(.double(1 / logarithmOf2))
    return select(a .== b, a + 1, .binary(.maximum, a, b) + correction)
  }
  .derivative(of: "self", saving: ["self", "other"]) { d in
    try d.gradient / (1 + (d.tensor("other") - d["self"]).exp2())
  }
  .derivative(of: "other", saving: ["self", "other"]) { d in
    try d.gradient / (1 + (d.tensor("self") - d["other"]).exp2())
  }

  /// self · log(other), and 0 where `self` is 0, unless `other` is NaN.
  public static let xlogy: OperatorDefinition = xlogy("xlogy.Tensor(Tensor self, Tensor other) -> Tensor")
    .derivative(of: "self", saving: ["self", "other"]) { d in
      let isConstant = try d.tensor("self").eq(0).logicalAnd(d.tensor("other").le(0))
      return try d.gradient.xlogy(d["other"]).maskedFill(isConstant, 0)
    }
    .derivative(of: "other", saving: ["self", "other"]) { try $0.gradient * $0["self"] / $0["other"] }
    .inPlaceVariant()

  public static let xlogyScalarOther: OperatorDefinition = xlogy(
    "xlogy.Scalar_Other(Tensor self, Scalar other) -> Tensor"
  )
  .derivative(saving: ["self"]) { d in
    let slope = try d.gradient.xlogy(d["other"])
    return try d.call.double(1) > 0 ? slope : slope.maskedFill(d.tensor("self").eq(0), 0)
  }
  .inPlaceVariant()

  public static let xlogyScalarSelf: OperatorDefinition = xlogy(
    "xlogy.Scalar_Self(Scalar self, Tensor other) -> Tensor"
  )
  .derivative(of: "other", saving: ["other"]) { try $0.gradient * $0["self"] / $0["other"] }

  /// log(x / (1 - x)), of x limited to eps…1 - eps where that is given and not negative.
  public static let logit = pointwise("logit(Tensor self, float? eps=None) -> Tensor", promotion: .intToFloat) {
    x, call in
    var value = x[0]
    if let eps = try call.optionalScalar(1)?.doubleValue, eps >= 0 {
      let (low, high) = logitRange(eps)
      value = select(value .< low, low, select(value .> high, high, value))
    }
    return .unary(.log, value / (1 - value))
  }
  .derivative(saving: ["self"]) { try logitBackward(.reference($0.gradient), $0["self"], $0["eps"]) }
  .inPlaceVariant()

  /// grad / (x · (1 - x)); outside the range 0 where it is limited, else NaN.
  public static let logitBackward: OperatorDefinition = pointwise(
    "logit_backward(Tensor grad_output, Tensor self, float? eps=None) -> Tensor", accepts: .floatingPoint
  ) { x, call in
    let (gradient, value) = (x[0], x[1])
    let eps = try call.optionalScalar(2)?.doubleValue ?? -1
    let (low, high) = eps >= 0 ? logitRange(eps) : (0, 1)
    let isOutside = ScalarExpression.binary(.bitwiseOr, value .< low, value .> high)
    let slope = gradient / (value * (1 - value))
    let atEnds = gradient * .constant(.double(.infinity))
    let isAtEnd = ScalarExpression.binary(.bitwiseOr, value .== 0, value .== 1)
    return select(isOutside, eps >= 0 ? 0 : .constant(.double(.nan)), select(isAtEnd, atEnds, slope))
  }
  .derivative(of: "grad_output", saving: ["self"]) { d in
    try logitBackward(.reference(d.gradient), d["self"], d["eps"])
  }
  .derivative(of: "self", saving: ["grad_output", "self"]) { d in
    let value = try d.tensor("self")
    let slope = try logitBackward(d["grad_output"], .reference(value), d["eps"])
    return try d.gradient * slope * (value * 2 - 1) / (value * (1 - value))
  }

  private static let logarithmOf2 = 0.693_147_180_559_945_3

  private static func logitRange(_ eps: Double) -> (low: ScalarExpression, high: ScalarExpression) {
    (.constant(.double(eps)), .constant(.double(1 - eps)))
  }

  private static func xlogy(_ schema: String) -> OperatorDefinition {
    pointwise(schema, operands: ["self", "other"], promotion: .intToFloat) { x, call in
      let product = x[0] * .unary(.log, x[1])
      if let number = call.arguments[0].scalar, number.doubleValue != 0 { return product }
      let isZero = call.arguments[0].scalar == nil ? x[0] .== 0 : .constant(.bool(true))
      return select(.unary(.isNaN, x[1]), x[1], select(isZero, 0, product))
    }
  }
}

extension Tensor {
  /// log(exp(self) + exp(other)), without overflow.
  public func logaddexp(_ other: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.logaddexp(.reference(self), other.operandValue)
  }

  /// log₂(2^self + 2^other), without overflow.
  public func logaddexp2(_ other: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.logaddexp2(.reference(self), other.operandValue)
  }

  /// self · log(other), and 0 where `self` is 0.
  public func xlogy(_ other: some TensorOperand) throws -> Tensor {
    let value = other.operandValue
    return try (value.scalar == nil ? OperatorLibrary.xlogy : OperatorLibrary.xlogyScalarOther)(
      .reference(self), value)
  }

  /// log(x / (1 - x)), of x limited to eps…1 - eps where that is given.
  public func logit(eps: Double? = nil) throws -> Tensor {
    try OperatorLibrary.logit(.reference(self), eps.map { .double($0) } ?? .none)
  }
}
