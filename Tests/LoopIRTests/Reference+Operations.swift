import Foundation
import LoopIR
import TensorCore

extension Reference {
  private static func compute(_ dtype: DType) -> DType { dtype == .float16 || dtype == .bfloat16 ? .float32 : dtype }

  static func unary(_ operation: UnaryOperation, _ a: Number) -> Number {
    let flag = { (value: Bool) in Number(integer: value ? 1 : 0, .bool) }
    switch operation {
    case .logicalNot: return flag(!a.truth)
    case .isNaN: return flag(a.dtype.isFloatingPoint && a.real.isNaN)
    case .bitwiseNot: return a.dtype == .bool ? flag(!a.truth) : Number(integer: ~a.integer, a.dtype).wrapped
    default: break
    }
    if !a.dtype.isFloatingPoint {
      switch operation {
      case .negate: return Number(integer: 0 &- a.integer, a.dtype).wrapped
      case .absolute: return Number(integer: a.integer < 0 ? 0 &- a.integer : a.integer, a.dtype).wrapped
      case .sign: return Number(integer: a.integer.signum(), a.dtype)
      case .floor, .ceil, .round, .truncate: return a
      default: return unary(operation, a.cast(.float32))
      }
    }
    let x = a.real
    let result: Double =
      switch operation {
      case .negate: -x
      case .absolute: abs(x)
      case .sign: x > 0 ? 1 : x < 0 ? -1 : 0
      case .reciprocal: 1 / x
      case .exp: exp(x)
      case .exp2: exp2(x)
      case .expm1: expm1(x)
      case .log: log(x)
      case .log1p: log1p(x)
      case .log2: log2(x)
      case .log10: log10(x)
      case .sqrt: x.squareRoot()
      case .rsqrt: 1 / x.squareRoot()
      case .sin: sin(x)
      case .cos: cos(x)
      case .tan: tan(x)
      case .asin: asin(x)
      case .acos: acos(x)
      case .atan: atan(x)
      case .sinh: sinh(x)
      case .cosh: cosh(x)
      case .tanh: tanh(x)
      case .asinh: asinh(x)
      case .acosh: acosh(x)
      case .atanh: atanh(x)
      case .sigmoid: 1 / (1 + exp(-x))
      case .erf: erf(x)
      case .erfc: erfc(x)
      case .erfinv: inverseErrorFunction(x)
      case .ndtr: erfc(-x / 2.0.squareRoot()) / 2
      case .lgamma: lgamma(x)
      case .digamma: polygamma(0, x)
      case .floor: x.rounded(.down)
      case .ceil: x.rounded(.up)
      case .round: x.rounded(.toNearestOrEven)
      case .truncate: x.rounded(.towardZero)
      case .logicalNot, .bitwiseNot, .isNaN: x
      }
    return Number(real: result, compute(a.dtype)).wrapped
  }

  static func binary(_ operation: BinaryOperation, _ a: Number, _ b: Number) -> Number {
    if operation.isComparison {
      let (x, y) = (a.asDouble, b.asDouble)
      let holds =
        switch operation {
        case .equal: x == y
        case .notEqual: x != y
        case .less: x < y
        case .lessOrEqual: x <= y
        case .greater: x > y
        default: x >= y
        }
      return Number(integer: holds ? 1 : 0, .bool)
    }
    // The neighbor is that of the type's own numbers.
    if operation == .nextAfter, a.dtype != .float64 {
      return Number(real: Double(nextafter(Float(a.real), Float(b.real))), compute(a.dtype)).wrapped
    }
    return a.dtype.isFloatingPoint
      ? Number(real: real(operation, a.real, b.real), compute(a.dtype)).wrapped
      : Number(integer: whole(operation, a.integer, b.integer), a.dtype).wrapped
  }

  private static func real(_ operation: BinaryOperation, _ x: Double, _ y: Double) -> Double {
    switch operation {
    case .add: x + y
    case .subtract: x - y
    case .multiply: x * y
    case .divide: x / y
    case .floorDivide: (x / y).rounded(.down)
    case .remainder: y == 0 ? .nan : x - y * (x / y).rounded(.down)
    case .truncatedRemainder: fmod(x, y)
    case .power: pow(x, y)
    case .atan2: atan2(x, y)
    case .hypot: hypot(x, y)
    case .copySign: copysign(x, y)
    case .nextAfter: nextafter(x, y)
    case .polygamma: x < 0 || x != x.rounded() ? .nan : polygamma(Int(x), y)
    case .minimum: x.isNaN || y.isNaN ? .nan : min(x, y)
    case .maximum: x.isNaN || y.isNaN ? .nan : max(x, y)
    default: .nan
    }
  }

  private static func whole(_ operation: BinaryOperation, _ x: Int64, _ y: Int64) -> Int64 {
    switch operation {
    case .add: return x &+ y
    case .subtract: return x &- y
    case .multiply: return x &* y
    case .divide: return y == 0 ? 0 : x.dividingFullWidth(y)
    case .floorDivide: return y == 0 ? 0 : Int64((Double(x) / Double(y)).rounded(.down))
    case .remainder: return y == 0 ? 0 : x &- y &* Int64((Double(x) / Double(y)).rounded(.down))
    case .truncatedRemainder: return y == 0 || y == -1 ? 0 : x % y
    case .shiftLeft: return y < 0 ? 0 : x << y
    case .shiftRight: return x >> (y < 0 ? 64 : y)
    case .power:
      if y < 0 { return x == 1 ? 1 : x == -1 ? (y % 2 == 0 ? 1 : -1) : 0 }
      return (0..<y).reduce(1) { product, _ in product &* x }
    case .minimum: return min(x, y)
    case .maximum: return max(x, y)
    case .bitwiseAnd: return x & y
    case .bitwiseOr: return x | y
    case .bitwiseXor: return x ^ y
    default: return 0
    }
  }
}

extension Reference {
  /// By bisection.
  private static func inverseErrorFunction(_ y: Double) -> Double {
    if !(abs(y) < 1) || y == 0 { return abs(y) == 1 ? y * .infinity : y == 0 ? y : .nan }
    var (low, high) = (0.0, 7.0)
    while true {
      let middle = (low + high) / 2
      if middle == low || middle == high { return y < 0 ? -middle : middle }
      let isBelow = abs(y) < 0.5 ? erf(middle) < abs(y) : erfc(middle) > 1 - abs(y)
      if isBelow { low = middle } else { high = middle }
    }
  }

  /// By a long sum, and the first terms of the asymptotic series for the rest.
  private static func polygamma(_ order: Int, _ x: Double) -> Double {
    let n = Double(order)
    let sign: Double = order % 2 == 0 ? -1 : 1
    if x == 0 { return order == 0 && x.sign == .minus ? .infinity : sign * .infinity }
    if x <= 0, x == x.rounded() { return .nan }
    if x.isInfinite { return x < 0 ? .nan : order == 0 ? x : 0 }
    var (argument, sum) = (x, 0.0)
    while argument < 40 {
      sum += 1 / pow(argument, n + 1)
      argument += 1
    }
    let start = order == 0 ? -log(argument) : pow(argument, -n) / n
    let third = (n + 1) * (n + 2) * (n + 3)
    let fifth = third * (n + 4) * (n + 5)
    let rest = [0.5, (n + 1) / 12, -third / 720, fifth / 30_240].enumerated()
      .reduce(start) { $0 + $1.element / pow(argument, n + Double(max(2 * $1.offset, 1))) }
    return sign * tgamma(n + 1) * (sum + rest)
  }
}

extension Int64 {
  fileprivate func dividingFullWidth(_ divisor: Int64) -> Int64 { divisor == -1 ? 0 &- self : self / divisor }
}

/// Whether numbers are equal up to a relative error, NaN equal to NaN.
func agree(_ a: Double, _ b: Double, tolerance: Double) -> Bool {
  if a.isNaN || b.isNaN { return a.isNaN && b.isNaN }
  if a == b { return true }
  return abs(a - b) <= tolerance * max(abs(a), abs(b), 1e-30)
}

extension DType {
  /// A few units in the last place, relative.
  var tolerance: Double {
    switch self {
    case .float64: 1e-13
    case .float32: 4e-7
    case .float16: 1.2e-3
    case .bfloat16: 9e-3
    default: 0
    }
  }
}
