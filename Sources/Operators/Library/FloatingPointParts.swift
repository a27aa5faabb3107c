import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let floatingPointParts = [copysign, copysignScalar, nextafter, hypot]

  /// The magnitude of self with the sign of the other. Integers are promoted to the default floating-point type.
  public static let copysign = binary(
    "copysign.Tensor(Tensor self, Tensor other) -> Tensor", promotion: .intToFloat
  ) { .binary(.copySign, $0, $1) }
  .derivative(of: "self", saving: ["self", "result"]) { try signGradient($0) }
  .derivative(of: "other") { try $0.gradient.zerosLike() }
  .inPlaceVariant()

  public static let copysignScalar = binary(
    "copysign.Scalar(Tensor self, Scalar other) -> Tensor", operands: ["self", "other"], promotion: .intToFloat
  ) { .binary(.copySign, $0, $1) }
  .derivative(saving: ["self", "result"]) { try signGradient($0) }
  .inPlaceVariant()

  /// The number of the result's type that comes after self, in the direction of the other.
  public static let nextafter = pointwise(
    "nextafter(Tensor self, Tensor other) -> Tensor", accepts: .floatingPoint
  ) { x, call in neighbor(of: x[0], toward: x[1], try commonDType(call)) }
  .derivative(of: "self", saving: ["self", "other"]) { d in
    try OperatorLibrary.ne(d["self"], d["other"]).selecting(d.gradient, 0.0)
  }
  .derivative(of: "other") { try $0.gradient.zerosLike() }
  .inPlaceVariant()

  /// √(self² + other²) without overflow.
  public static let hypot = binary("hypot(Tensor self, Tensor other) -> Tensor", accepts: .floatingPoint) {
    .binary(.hypot, $0, $1)
  }
  .derivative(of: "self", saving: ["self", "result"]) { try $0.gradient * ($0["self"].dividedBy($0.result)) }
  .derivative(of: "other", saving: ["other", "result"]) { try $0.gradient * ($0["other"].dividedBy($0.result)) }
  .inPlaceVariant()

  // 0 where self is 0: which side of it the result is on depends on the other alone.
  private static func signGradient(_ d: DerivativeContext) throws -> Tensor {
    let x = try d.tensor("self")
    return try d.gradient * (d.result / x).maskedFill(x.eq(0), 0)
  }

  private static func commonDType(_ call: LoweringCall) throws -> DType {
    var promoted = TypePromotion()
    for position in 0...1 {
      if let operand = call.arguments[position].reference {
        promoted.add(operand.dtype, rank: operand.sizes.count)
      } else {
        promoted.add(try call.scalar(position))
      }
    }
    return promoted.result ?? .float32
  }

  // Half precision has no operation of its own: a step of about its spacing, in float64, is rounded to its neighbor.
  private static func neighbor(
    of x: ScalarExpression, toward y: ScalarExpression, _ dtype: DType
  ) -> ScalarExpression {
    let step: (relative: Double, least: Double, beyondLargest: Double)
    switch dtype {
    case .float16: step = (0x1.4p-11, 0x1.4p-25, 0x1p16)
    case .bfloat16: step = (0x1.4p-8, 0x1.4p-134, 0x1p128)
    default: return .binary(.nextAfter, x, y)
    }
    func number(_ value: Double) -> ScalarExpression { .constant(.double(value)) }
    // Infinity stands where the number after the largest would be.
    let wide = ScalarExpression.cast(.float64, x)
    let bounded = ScalarExpression.binary(
      .minimum, .binary(.maximum, wide, number(-step.beyondLargest)), number(step.beyondLargest))
    let distance = ScalarExpression.binary(
      .maximum, .unary(.absolute, bounded) * number(step.relative), number(step.least))
    let next = bounded + .binary(.copySign, distance, .cast(.float64, y) - wide)
    return select(.binary(.bitwiseOr, x .== y, .unary(.isNaN, y)), y, .cast(dtype, next))
  }
}

extension Tensor {
  /// The magnitudes of this tensor with the signs of another or a number.
  public func copysign(_ other: some TensorOperand) throws -> Tensor {
    let value = other.operandValue
    return try (value.scalar == nil ? OperatorLibrary.copysign : OperatorLibrary.copysignScalar)(
      .reference(self), value)
  }

  /// The floating-point numbers that come next, in the direction of another tensor's.
  public func nextafter(_ other: Tensor) throws -> Tensor {
    try OperatorLibrary.nextafter(.reference(self), .reference(other))
  }

  public func hypot(_ other: Tensor) throws -> Tensor {
    try OperatorLibrary.hypot(.reference(self), .reference(other))
  }
}
