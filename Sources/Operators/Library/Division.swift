import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let division = [
    div, divScalar, divMode, divScalarMode, floorDivide, floorDivideScalar, remainder, remainderScalar, fmod,
    fmodScalar,
    reciprocal,
  ]

  /// True division: integers are promoted to the default floating-point type.
  public static let div = binary("div.Tensor(Tensor self, Tensor other) -> Tensor", promotion: .intToFloat) { $0 / $1 }
    .derivative(of: "self", saving: ["other"]) { try $0.gradient / $0["other"] }
    .derivative(of: "other", saving: ["self", "other"]) { try divisorGradient($0) }
    .inPlaceVariant()
    .outVariant()

  public static let divScalar = binary(
    "div.Scalar(Tensor self, Scalar other) -> Tensor", operands: ["self", "other"], promotion: .intToFloat
  ) { $0 / $1 }
  .decomposition { try div.call($0.arguments) }
  .derivative { try $0.gradient / $0["other"] }
  .inPlaceVariant()

  /// Division whose result is rounded: `floor`, `trunc`, or not at all.
  public static let divMode = roundedDivision(
    "div.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor"
  )
  .derivative(of: "self", saving: ["other"]) { d in
    d["rounding_mode"].isNone ? try d.gradient / d["other"] : try d.gradient.zerosLike()
  }
  .derivative(of: "other", saving: ["self", "other"]) { d in
    d["rounding_mode"].isNone ? try divisorGradient(d) : try d.gradient.zerosLike()
  }
  .inPlaceVariant()

  public static let divScalarMode = roundedDivision(
    "div.Scalar_mode(Tensor self, Scalar other, *, str? rounding_mode) -> Tensor"
  )
  .derivative { d in
    d["rounding_mode"].isNone ? try d.gradient / d["other"] : try d.gradient.zerosLike()
  }
  .inPlaceVariant()

  /// The quotient rounded toward negative infinity, in the operands' common type.
  public static let floorDivide = dividing("floor_divide(Tensor self, Tensor other) -> Tensor") {
    .binary(.floorDivide, $0, $1)
  }
  .decomposition { try divMode.call($0.arguments + [.string("floor")]) }
  .notDifferentiable()
  .inPlaceVariant()

  public static let floorDivideScalar = dividing("floor_divide.Scalar(Tensor self, Scalar other) -> Tensor") {
    .binary(.floorDivide, $0, $1)
  }
  .decomposition { try divScalarMode.call($0.arguments + [.string("floor")]) }
  .notDifferentiable()
  .inPlaceVariant()

  /// The remainder that goes with `floor_divide`: it has the divisor's sign.
  public static let remainder = dividing("remainder.Tensor(Tensor self, Tensor other) -> Tensor") {
    .binary(.remainder, $0, $1)
  }
  .derivative(of: "self") { $0.gradient }
  .derivative(of: "other", saving: ["self", "other"]) { d in
    try -d.gradient * divMode(d["self"], d["other"], .string("floor"))
  }
  .inPlaceVariant()

  public static let remainderScalar = dividing("remainder.Scalar(Tensor self, Scalar other) -> Tensor") {
    .binary(.remainder, $0, $1)
  }
  .derivative { $0.gradient }
  .inPlaceVariant()

  /// The remainder that goes with division rounded toward zero: it has the dividend's sign.
  public static let fmod = dividing("fmod.Tensor(Tensor self, Tensor other) -> Tensor") {
    .binary(.truncatedRemainder, $0, $1)
  }
  .derivative(of: "self") { $0.gradient }
  .derivative(of: "other", saving: ["self", "other"]) { d in
    try -d.gradient * divMode(d["self"], d["other"], .string("trunc"))
  }
  .inPlaceVariant()

  public static let fmodScalar = dividing("fmod.Scalar(Tensor self, Scalar other) -> Tensor") {
    .binary(.truncatedRemainder, $0, $1)
  }
  .derivative { $0.gradient }
  .inPlaceVariant()

  public static let reciprocal = unary("reciprocal(Tensor self) -> Tensor", promotion: .intToFloat) {
    .unary(.reciprocal, $0)
  }
  .derivative(saving: ["result"]) { try -$0.gradient * ($0.result * $0.result) }
  .inPlaceVariant()

  /// An operator of a dividend and a divisor that integers cannot have as 0.
  private static func dividing(
    _ text: String, _ body: @escaping @Sendable (ScalarExpression, ScalarExpression) -> ScalarExpression
  ) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let kernel = DivisionKernel(schema, body)
    return OperatorDefinition(
      schema: schema, traits: [.pointwise, .checksIntegers], .kernel(shape: kernel.shape, lowering: kernel.lower))
  }

  private static func roundedDivision(_ text: String) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let exact = PointwiseKernel(
      rule: PointwiseRule(schema, operands: ["self", "other"], promotion: .intToFloat), accepts: .all
    ) { x, _ in x[0] / x[1] }
    let floored = DivisionKernel(schema) { .binary(.floorDivide, $0, $1) }
    let truncatedInteger = DivisionKernel(schema) { $0 / $1 }
    let truncated = DivisionKernel(schema) { .unary(.truncate, $0 / $1) }
    return OperatorDefinition(
      schema: schema, traits: [.pointwise, .checksIntegers],
      .kernel(
        shape: { call in
          if call.arguments[2].isNone { return try exact.shape(call) }
          let mode = try call.string(2)
          guard ["floor", "trunc"].contains(mode) else { throw call.mismatch(2, "none, 'floor' or 'trunc'") }
          return try floored.shape(call)
        },
        lowering: { call, results, builder in
          if call.arguments[2].isNone { return try exact.lower(call, results, &builder) }
          if try call.string(2) == "floor" { return try floored.lower(call, results, &builder) }
          let isExact = try floored.computingDType(call).isFloatingPoint
          try (isExact ? truncated : truncatedInteger).lower(call, results, &builder)
        }))
  }

  private static func divisorGradient(_ d: DerivativeContext) throws -> Tensor {
    let other = try d.tensor("other")
    return try -d.gradient * (d["self"].dividedBy(other) / other)
  }
}

/// The shape rule and lowering of a division that keeps integers: they have no quotient by 0.
private struct DivisionKernel: Sendable {
  private let kernel: PointwiseKernel

  init(
    _ schema: OperatorSchema, _ body: @escaping @Sendable (ScalarExpression, ScalarExpression) -> ScalarExpression
  ) {
    kernel = PointwiseKernel(
      rule: PointwiseRule(schema, operands: ["self", "other"], promotion: .common), accepts: .numeric,
      check: { call, common in
        if !common.isFloatingPoint, let number = call.arguments[1].scalar, number.intValue == 0 {
          throw Self.divisionByZero(call.target.name)
        }
      }
    ) { x, _ in body(x[0], x[1]) }
  }

  func computingDType(_ call: LoweringCall) throws -> DType {
    try kernel.rule.commonDType(call, \.dtype, \.sizes.count)
  }

  @Sendable func shape(_ call: OperatorCall) throws -> [TensorMeta?] { try kernel.shape(call) }

  @Sendable func lower(_ call: LoweringCall, _ results: [Operand], _ builder: inout LoopBuilder) throws {
    if try !computingDType(call).isFloatingPoint, let divisor = call.arguments[1].reference, results[0].elementCount > 0
    {
      builder.refuse(Self.divisionByZero(call.target.name), where: .load(0) .== 0, in: divisor)
    }
    try kernel.lower(call, results, &builder)
  }

  private static func divisionByZero(_ name: OperatorName) -> OperatorError {
    OperatorError(.elements, name, "an integer is divided by 0")
  }
}

/// How a quotient is rounded.
public enum RoundingMode: String, Hashable, Sendable { case floor, trunc }

extension Tensor {
  /// True division, broadcast; integers become floating point.
  public func div(_ other: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.div(.reference(self), other.operandValue)
  }

  @discardableResult
  public func div_(_ other: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.div.inPlace(.reference(self), other.operandValue)
  }

  /// Division with the quotient rounded.
  public func div(_ other: some TensorOperand, rounding: RoundingMode) throws -> Tensor {
    try OperatorLibrary.divMode(.reference(self), other.operandValue, .string(rounding.rawValue))
  }

  public func floorDivide(_ other: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.floorDivide(.reference(self), other.operandValue)
  }

  public func remainder(_ other: some TensorOperand) throws -> Tensor {
    let value = other.operandValue
    return try (value.scalar == nil ? OperatorLibrary.remainder : OperatorLibrary.remainderScalar)(
      .reference(self), value)
  }

  public func fmod(_ other: some TensorOperand) throws -> Tensor {
    let value = other.operandValue
    return try (value.scalar == nil ? OperatorLibrary.fmod : OperatorLibrary.fmodScalar)(.reference(self), value)
  }

  public func reciprocal() throws -> Tensor { try OperatorLibrary.reciprocal(.reference(self)) }
  @discardableResult
  public func reciprocal_() throws -> Tensor { try OperatorLibrary.reciprocal.inPlace(.reference(self)) }
}

extension Value {
  /// A tensor or number divided by a tensor.
  func dividedBy(_ other: Tensor) throws -> Tensor { try OperatorLibrary.div(self, .reference(other)) }
}
