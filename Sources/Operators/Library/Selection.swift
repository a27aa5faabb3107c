import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let selection = [
    whereSelf, whereScalarSelf, whereScalarOther, whereScalar, maskedFill, maskedFillScalar, nanToNum, lerp, lerpScalar,
    addcmul,
    addcdiv,
  ]

  /// The elements of `self` where the condition (bool) holds, else of `other`.
  public static let whereSelf: OperatorDefinition = pointwise(
    "where.self(Tensor condition, Tensor self, Tensor other) -> Tensor", conditions: ["condition"]
  ) { x, _ in select(x[0], x[1], x[2]) }
  .rewritingArguments { call in
    // A condition of bytes is one as well, though of no other integers.
    guard let condition = call.arguments[0].reference, condition.dtype == .uint8 else { return call.arguments }
    return [.reference(try condition.ne(0))] + call.arguments.dropFirst()
  }
  .derivative(of: "self", saving: ["condition"]) { d in
    try whereSelf(d["condition"], .reference(d.gradient), .double(0))
  }
  .derivative(of: "other", saving: ["condition"]) { d in
    try whereSelf(d["condition"], .double(0), .reference(d.gradient))
  }

  public static let whereScalarSelf = whereNumber(
    "where.ScalarSelf(Tensor condition, Scalar self, Tensor other) -> Tensor")

  public static let whereScalarOther = whereNumber(
    "where.ScalarOther(Tensor condition, Tensor self, Scalar other) -> Tensor")

  public static let whereScalar = whereNumber("where.Scalar(Tensor condition, Scalar self, Scalar other) -> Tensor")

  private static func whereNumber(_ schema: String) -> OperatorDefinition {
    OperatorDefinition(schema, .composite { try whereSelf.call($0.arguments) })
  }

  /// `self` with `value`, a tensor without dimensions, where the mask (bool) holds.
  public static let maskedFill = masked("masked_fill.Tensor(Tensor self, Tensor mask, Tensor value) -> Tensor")
    .derivative(of: "self", saving: ["mask"]) { try $0.gradient.maskedFill($0.tensor("mask"), 0) }
    .derivative(of: "value", saving: ["mask"]) { d in
      try whereSelf(d["mask"], .reference(d.gradient), .double(0)).sum()
    }
    .inPlaceVariant()

  public static let maskedFillScalar = masked("masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor")
    .derivative(of: "self", saving: ["mask"]) { try $0.gradient.maskedFill($0.tensor("mask"), 0) }
    .inPlaceVariant()

  /// NaN and the infinities replaced: unless said otherwise, by 0 and the largest and smallest finite numbers.
  public static let nanToNum = pointwise(
    "nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor"
  ) { x, call in
    let dtype = try call.reference(0).dtype
    guard dtype.isFloatingPoint else { return x[0] }
    func number(_ position: Int, else other: Double) throws -> ScalarExpression {
      .constant(.double(try call.optionalScalar(position)?.doubleValue ?? other))
    }
    let infinity = ScalarExpression.constant(.double(.infinity))
    let isInfinite = ScalarExpression.unary(.absolute, x[0]) .== infinity
    let limit = select(
      x[0] .> 0, try number(2, else: dtype.greatestFinite), try number(3, else: -dtype.greatestFinite))
    return select(.unary(.isNaN, x[0]), try number(1, else: 0), select(isInfinite, limit, x[0]))
  }
  .derivative(saving: ["self"]) { try $0.gradient * $0.tensor("self").isFinite() }
  .inPlaceVariant()

  /// self + weight · (end - self)
  public static let lerp = pointwise(
    "lerp.Tensor(Tensor self, Tensor end, Tensor weight) -> Tensor", accepts: .floatingPoint, check: checkSameType
  ) { x, _ in interpolated(x[0], x[1], x[2]) }
  .derivative(of: "self", saving: ["weight"]) { try $0.gradient * (1 - $0.tensor("weight")) }
  .derivative(of: "end", saving: ["weight"]) { try $0.gradient * $0["weight"] }
  .derivative(of: "weight", saving: ["self", "end"]) { try $0.gradient * ($0.tensor("end") - $0["self"]) }
  .inPlaceVariant()

  public static let lerpScalar = pointwise(
    "lerp.Scalar(Tensor self, Tensor end, Scalar weight) -> Tensor", accepts: .floatingPoint, check: checkSameType
  ) { x, call in interpolated(x[0], x[1], .constant(try call.scalar(2))) }
  .derivative(of: "self") { try $0.gradient * (1 - $0.call.double(2)) }
  .derivative(of: "end") { try $0.gradient * $0["weight"] }
  .inPlaceVariant()

  /// self + value · tensor1 · tensor2
  public static let addcmul = pointwise(
    "addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor"
  ) { x, call in x[0] + .constant(try call.scalar(3)) * x[1] * x[2] }
  .derivative(of: "self") { $0.gradient }
  .derivative(of: "tensor1", saving: ["tensor2"]) { try $0.gradient * ($0.tensor("tensor2") * $0["value"]) }
  .derivative(of: "tensor2", saving: ["tensor1"]) { try $0.gradient * ($0.tensor("tensor1") * $0["value"]) }
  .inPlaceVariant()

  /// self + value · tensor1 / tensor2
  public static let addcdiv = pointwise(
    "addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor", accepts: .floatingPoint,
    check: { call, common in
      if try !call.tensor(1).dtype.isFloatingPoint, try !call.tensor(2).dtype.isFloatingPoint {
        throw OperatorError(.dtype, call.target.name, "does not divide integers; convert tensor1 or tensor2 first")
      }
    }
  ) { x, call in x[0] + .constant(try call.scalar(3)) * x[1] / x[2] }
  .derivative(of: "self") { $0.gradient }
  .derivative(of: "tensor1", saving: ["tensor2"]) { try $0.gradient * ($0["value"].dividedBy($0.tensor("tensor2"))) }
  .derivative(of: "tensor2", saving: ["tensor1", "tensor2"]) { d in
    let divisor = try d.tensor("tensor2")
    return try -d.gradient * ((d.tensor("tensor1") * d["value"]) / (divisor * divisor))
  }
  .inPlaceVariant()

  private static func masked(_ schema: String) -> OperatorDefinition {
    pointwise(
      schema, operands: ["self", "mask", "value"], conditions: ["mask"], promotion: .first, isContiguous: true,
      check: { call, dtype in
        if let value = call.arguments[2].reference, value.rank > 0 {
          throw OperatorError(
            .shape, call.target.name, "value must be a number or a tensor without dimensions, got shape \(value.sizes)")
        }
        try call.checkNumber(2, fits: dtype)
      }
    ) { x, _ in select(x[1], x[2], x[0]) }
  }

  // From the nearer end, so that both ends are met exactly.
  private static func interpolated(
    _ start: ScalarExpression, _ end: ScalarExpression, _ weight: ScalarExpression
  ) -> ScalarExpression {
    select(
      .unary(.absolute, weight) .< 0.5, start + weight * (end - start), end - (end - start) * (1 - weight))
  }

  @Sendable private static func checkSameType(_ call: OperatorCall, common: DType) throws {
    for tensor in call.allTensors where tensor.dtype != common {
      throw OperatorError(.dtype, call.target.name, "needs operands of one dtype, got \(common) and \(tensor.dtype)")
    }
  }
}

extension Tensor {
  /// `a` where this condition (bool) holds, else `b`; broadcast.
  public func selecting(_ a: some TensorOperand, _ b: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.whereSelf(.reference(self), a.operandValue, b.operandValue)
  }

  /// This tensor with `value` where the mask (bool) holds.
  public func maskedFill(_ mask: Tensor, _ value: some TensorOperand) throws -> Tensor {
    let value = value.operandValue
    return try (value.scalar == nil ? OperatorLibrary.maskedFill : OperatorLibrary.maskedFillScalar)(
      .reference(self), .reference(mask), value)
  }

  @discardableResult
  public func maskedFill_(_ mask: Tensor, _ value: some TensorOperand) throws -> Tensor {
    let value = value.operandValue
    let operation = value.scalar == nil ? OperatorLibrary.maskedFill : OperatorLibrary.maskedFillScalar
    return try operation.inPlace(.reference(self), .reference(mask), value)
  }

  /// NaN and the infinities replaced: unless said otherwise, by 0 and the largest and smallest finite numbers.
  public func nanToNum(nan: Double = 0, positiveInfinity: Double? = nil, negativeInfinity: Double? = nil) throws
    -> Tensor
  {
    try OperatorLibrary.nanToNum(
      .reference(self), .double(nan), positiveInfinity.map { .double($0) } ?? .none,
      negativeInfinity.map { .double($0) } ?? .none)
  }

  /// self + weight · (end - self)
  public func lerp(_ end: Tensor, weight: some TensorOperand) throws -> Tensor {
    let weight = weight.operandValue
    return try (weight.scalar == nil ? OperatorLibrary.lerp : OperatorLibrary.lerpScalar)(
      .reference(self), .reference(end), weight)
  }

  @discardableResult
  public func lerp_(_ end: Tensor, weight: some TensorOperand) throws -> Tensor {
    let weight = weight.operandValue
    let operation = weight.scalar == nil ? OperatorLibrary.lerp : OperatorLibrary.lerpScalar
    return try operation.inPlace(.reference(self), .reference(end), weight)
  }

  /// self + value · a · b
  public func addcmul(_ a: Tensor, _ b: Tensor, value: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.addcmul(.reference(self), .reference(a), .reference(b), Value(value))
  }

  @discardableResult
  public func addcmul_(_ a: Tensor, _ b: Tensor, value: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.addcmul.inPlace(.reference(self), .reference(a), .reference(b), Value(value))
  }

  /// self + value · a / b
  public func addcdiv(_ a: Tensor, _ b: Tensor, value: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.addcdiv(.reference(self), .reference(a), .reference(b), Value(value))
  }

  @discardableResult
  public func addcdiv_(_ a: Tensor, _ b: Tensor, value: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.addcdiv.inPlace(.reference(self), .reference(a), .reference(b), Value(value))
  }
}
