import Foundation

// Operations that run one element at a time: none of them can trap.

@inline(__always)
func truncatingDivide<T: FixedWidthInteger & SignedInteger>(_ a: T, _ b: T) -> T {
  b == 0 ? 0 : b == -1 ? 0 &- a : a / b
}

@inline(__always)
func floorDivide<T: FixedWidthInteger & SignedInteger>(_ a: T, _ b: T) -> T {
  if b == 0 { return 0 }
  if b == -1 { return 0 &- a }
  let quotient = a / b
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient
}

@inline(__always)
func flooredRemainder<T: FixedWidthInteger & SignedInteger>(_ a: T, _ b: T) -> T {
  if b == 0 || b == -1 { return 0 }
  let remainder = a % b
  return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder
}

@inline(__always)
func truncatedRemainder<T: FixedWidthInteger & SignedInteger>(_ a: T, _ b: T) -> T { b == 0 || b == -1 ? 0 : a % b }

// The standard library's shifts take any count, and shift the other way for a negative one.

@inline(__always)
func shiftLeft<T: FixedWidthInteger & SignedInteger>(_ a: T, by count: T) -> T { count < 0 ? 0 : a << count }

@inline(__always)
func shiftRight<T: FixedWidthInteger & SignedInteger>(_ a: T, by count: T) -> T {
  a >> (count < 0 ? T(T.bitWidth) : count)
}

/// By squaring, with wrapping products. A negative exponent gives the reciprocal rounded toward zero.
@inline(__always)
func power<T: FixedWidthInteger & SignedInteger>(_ base: T, _ exponent: T) -> T {
  if exponent < 0 {
    return base == 1 ? 1 : base == -1 ? (exponent & 1 == 0 ? 1 : -1) : 0
  }
  var (result, base, exponent): (T, T, T) = (1, base, exponent)
  while exponent > 0 {
    if exponent & 1 == 1 { result = result &* base }
    base = base &* base
    exponent >>= 1
  }
  return result
}

@inline(__always)
func flooredRemainder<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T {
  let remainder = a.truncatingRemainder(dividingBy: b)
  return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder
}

/// The quotient that goes with the floored remainder, so that the two agree where plain division rounds up to an integer.
@inline(__always)
func floorDivide<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T {
  if b == 0 { return a / b }
  let remainder = a.truncatingRemainder(dividingBy: b)
  var quotient = (a - remainder) / b
  if remainder != 0, (b < 0) != (remainder < 0) { quotient -= 1 }
  if quotient == 0 { return T(signOf: a / b, magnitudeOf: 0) }
  let floored = quotient.rounded(.down)
  return quotient - floored > 0.5 ? floored + 1 : floored
}

/// The number after one toward another.
@inline(__always)
func nextAfter<T: BinaryFloatingPoint>(_ a: T, _ b: T) -> T {
  a < b ? a.nextUp : a > b ? a.nextDown : a == b ? b : .nan
}

/// Integers that reals become. The standard library's generic conversion is many times slower than each type's own.
protocol RealConvertible: FixedWidthInteger & SignedInteger {
  init(_ value: Float)
  init(_ value: Double)
}

extension Int32: RealConvertible {}
extension Int64: RealConvertible {}

/// Toward zero; saturated, and 0 for NaN, where it does not fit.
@inline(__always)
func saturated<Target: RealConvertible>(_ value: Float) -> Target {
  // 2 to the width less one, since the largest integer itself rounds up to it.
  let limit = Float(Target.max)
  if value > -limit, value < limit { return Target(value) }
  return value >= limit ? .max : value <= -limit ? .min : 0
}

/// Toward zero; saturated, and 0 for NaN, where it does not fit.
@inline(__always)
func saturated<Target: RealConvertible>(_ value: Double) -> Target {
  // 2 to the width less one, whether or not the largest integer is itself a number of the source.
  let limit = Double(Target.max) + 1
  if value > -limit, value < limit { return Target(value) }
  return value >= limit ? .max : value <= -limit ? .min : 0
}
