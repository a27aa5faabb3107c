import Foundation
import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let powers = [powScalarExponent, pow, powScalarBase, sqrt, rsqrt]

  /// self raised to a number.
  public static let powScalarExponent = pointwise(
    "pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor", operands: ["self", "exponent"],
    check: { call, common in
      try call.checkNumber(1, fits: common)
      if !common.isFloatingPoint, try call.scalar(1).doubleValue < 0 {
        throw OperatorError(.argument, call.target.name, "integers cannot be raised to a negative integer power")
      }
    }
  ) { x, call in
    switch try call.scalar(1).doubleValue {
    // As operations of their own, which differ from a power at -0 and -∞.
    case 0.5: .unary(.sqrt, x[0])
    case -0.5: .unary(.rsqrt, x[0])
    case -1: .unary(.reciprocal, x[0])
    case -2: .unary(.reciprocal, x[0] * x[0])
    case 1: x[0]
    case 2: x[0] * x[0]
    case 3: x[0] * x[0] * x[0]
    default: power(x[0], x[1])
    }
  }
  .derivative(saving: ["self"]) { d in
    let exponent = try d.call.scalar(1)
    if exponent.doubleValue == 0 { return try d.gradient.zerosLike() }
    return try d.gradient * (d.tensor("self").pow(exponent.minusOne) * exponent)
  }
  .inPlaceVariant(overload: "Scalar")

  public static let pow: OperatorDefinition = binary("pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor") {
    power($0, $1)
  }
  .derivative(of: "self", saving: ["self", "exponent"]) { d in
    if let exponent = d["exponent"].scalar {
      if exponent.doubleValue == 0 { return try d.gradient.zerosLike() }
      return try d.gradient * (d.tensor("self").pow(exponent.minusOne) * exponent)
    }
    let exponent = try d.tensor("exponent")
    let slope = try exponent * pow(d["self"], .reference(exponent - 1))
    return try exponent.eq(0).selecting(0.0, d.gradient * slope)
  }
  .derivative(of: "exponent", saving: ["self", "exponent", "result"]) { try exponentGradient($0) }
  .inPlaceVariant(overload: "Tensor")

  /// A number raised to self.
  public static let powScalarBase = pointwise(
    "pow.Scalar(Scalar self, Tensor exponent) -> Tensor", operands: ["self", "exponent"], isContiguous: true
  ) { x, _ in power(x[0], x[1]) }
  .derivative(of: "exponent", saving: ["exponent", "result"]) { try exponentGradient($0) }

  public static let sqrt = unary("sqrt(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.sqrt, $0) }
    .derivative(saving: ["result"]) { try $0.gradient / (2 * $0.result) }
    .inPlaceVariant()

  /// 1 / √x
  public static let rsqrt = unary("rsqrt(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.rsqrt, $0) }
    .derivative(saving: ["result"]) { try -0.5 * $0.gradient * $0.result.pow(3) }
    .inPlaceVariant()

  private static func power(_ base: ScalarExpression, _ exponent: ScalarExpression) -> ScalarExpression {
    .binary(.power, base, exponent)
  }

  // 0 to a power that is not negative counts as constant: the logarithm of 0 would give 0 · -∞, here or in the next derivative.
  private static func exponentGradient(_ d: DerivativeContext) throws -> Tensor {
    let exponent = try d.tensor("exponent")
    guard let base = d["self"].reference else {
      let base = try d.call.scalar(0).doubleValue
      if base != 0 { return try d.gradient * (d.result * Foundation.log(base)) }
      return try d.gradient * (d.result * exponent.ge(0).selecting(exponent.fullLike(1.0), 0.0).log())
    }
    let isConstant = try base.eq(0).logicalAnd(exponent.ge(0))
    return try d.gradient * (d.result * isConstant.selecting(1.0, base).log())
  }
}

extension Scalar {
  fileprivate var minusOne: Scalar {
    switch self {
    case .bool(let value): .int(value ? 0 : -1)
    case .int(let value): .int(value &- 1)
    case .double(let value): .double(value - 1)
    }
  }
}

extension Tensor {
  /// This tensor raised to a tensor or number, broadcast.
  public func pow(_ exponent: some TensorOperand) throws -> Tensor {
    let value = exponent.operandValue
    return try (value.scalar == nil ? OperatorLibrary.pow : OperatorLibrary.powScalarExponent)(.reference(self), value)
  }

  @discardableResult
  public func pow_(_ exponent: some TensorOperand) throws -> Tensor {
    let value = exponent.operandValue
    let operation = value.scalar == nil ? OperatorLibrary.pow : OperatorLibrary.powScalarExponent
    return try operation.inPlace(.reference(self), value)
  }

  public func sqrt() throws -> Tensor { try OperatorLibrary.sqrt(.reference(self)) }
  public func rsqrt() throws -> Tensor { try OperatorLibrary.rsqrt(.reference(self)) }
  @discardableResult public func sqrt_() throws -> Tensor { try OperatorLibrary.sqrt.inPlace(.reference(self)) }
  @discardableResult public func rsqrt_() throws -> Tensor { try OperatorLibrary.rsqrt.inPlace(.reference(self)) }
}
