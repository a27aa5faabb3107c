import TensorCore

/// What a loop computes for one index: an expression over the elements it loads.
///
/// Operands of an operation are expected to have one dtype; a `constant` takes the dtype of what it stands beside.
/// float16 and bfloat16 are computed in float32 and rounded where a value is cast or stored.
public indirect enum ScalarExpression: Hashable, Sendable {
  /// The element that the kernel's load of this number reads.
  case load(Int)
  /// The result of the kernel's reduction of this number.
  case reduced(Int)
  /// The kernel's local of this number: a value that several expressions share.
  case local(Int)
  case constant(Scalar)
  /// The coordinate along a dimension of the iteration space, as int64.
  case coordinate(Int)
  case unary(UnaryOperation, ScalarExpression)
  case binary(BinaryOperation, ScalarExpression, ScalarExpression)
  /// The second where the first (a bool) holds, else the third.
  case select(ScalarExpression, ScalarExpression, ScalarExpression)
  case cast(DType, ScalarExpression)
}

/// Operations on one number. Those on floating-point numbers alone expect one.
public enum UnaryOperation: String, CaseIterable, Hashable, Sendable, BitwiseCopyable {
  case negate, absolute, sign, reciprocal
  case sqrt, rsqrt
  case exp, exp2, expm1, log, log1p, log2, log10
  case sin, cos, tan, asin, acos, atan
  case sinh, cosh, tanh, asinh, acosh, atanh
  /// 1 / (1 + exp(-x))
  case sigmoid
  case erf, erfc, erfinv
  /// Φ(x), the standard normal distribution function: erfc(-x / √2) / 2.
  case ndtr
  /// The logarithm of |Γ(x)|, and its derivative.
  case lgamma, digamma
  case floor, ceil, round, truncate
  /// bool → bool
  case logicalNot
  /// Integers: every bit flipped; bool: as `logicalNot`.
  case bitwiseNot
  /// → bool
  case isNaN
}

/// Operations on two numbers of one dtype.
public enum BinaryOperation: String, CaseIterable, Hashable, Sendable, BitwiseCopyable {
  case add, subtract, multiply
  /// Floating point: IEEE division. Integers: rounded toward zero; 0 where the divisor is 0.
  case divide
  /// Rounded toward negative infinity.
  case floorDivide
  /// The remainder that goes with `floorDivide`: it has the divisor's sign.
  case remainder
  /// The remainder that goes with `divide` rounded toward zero: it has the dividend's sign.
  case truncatedRemainder
  case power
  /// The angle of the point (second, first), and its distance from the origin. Floating point only.
  case atan2, hypot
  /// The first's magnitude, the second's sign. Floating point only.
  case copySign
  /// The number after the first toward the second; in float32 for half precision, which is computed there. Floating point only.
  case nextAfter
  /// The derivative of `digamma` whose order is the first, a whole number from 0, at the second. Floating point only.
  case polygamma
  /// A NaN on either side gives NaN.
  case minimum, maximum
  case bitwiseAnd, bitwiseOr, bitwiseXor
  /// The first times, or rounded down over, 2 to the second. A negative count is as one past the width: only the sign is left
  /// of a number shifted right, nothing of one shifted left. Integers only.
  case shiftLeft, shiftRight
  // → bool; comparisons with NaN are false, `notEqual` true
  case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual

  public var isComparison: Bool {
    switch self {
    case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual: true
    default: false
    }
  }
}

extension ScalarExpression: ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral {
  public init(floatLiteral value: Double) { self = .constant(.double(value)) }
  public init(integerLiteral value: Int) { self = .constant(.int(value)) }

  public static func + (a: Self, b: Self) -> Self { .binary(.add, a, b) }
  public static func - (a: Self, b: Self) -> Self { .binary(.subtract, a, b) }
  public static func * (a: Self, b: Self) -> Self { .binary(.multiply, a, b) }
  public static func / (a: Self, b: Self) -> Self { .binary(.divide, a, b) }
  public static prefix func - (a: Self) -> Self { .unary(.negate, a) }

  public static func .== (a: Self, b: Self) -> Self { .binary(.equal, a, b) }
  public static func .< (a: Self, b: Self) -> Self { .binary(.less, a, b) }
  public static func .<= (a: Self, b: Self) -> Self { .binary(.lessOrEqual, a, b) }
  public static func .> (a: Self, b: Self) -> Self { .binary(.greater, a, b) }
  public static func .>= (a: Self, b: Self) -> Self { .binary(.greaterOrEqual, a, b) }
}

public func exp(_ x: ScalarExpression) -> ScalarExpression { .unary(.exp, x) }
public func log(_ x: ScalarExpression) -> ScalarExpression { .unary(.log, x) }
public func sqrt(_ x: ScalarExpression) -> ScalarExpression { .unary(.sqrt, x) }
public func rsqrt(_ x: ScalarExpression) -> ScalarExpression { .unary(.rsqrt, x) }
public func tanh(_ x: ScalarExpression) -> ScalarExpression { .unary(.tanh, x) }
public func erf(_ x: ScalarExpression) -> ScalarExpression { .unary(.erf, x) }
public func select(
  _ condition: ScalarExpression, _ then: ScalarExpression, _ otherwise: ScalarExpression
) -> ScalarExpression { .select(condition, then, otherwise) }
