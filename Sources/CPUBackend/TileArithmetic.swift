import Foundation
import LoopIR
import TensorCore

// What each instruction does to registers, by type.

@inline(__always)
private func flags(_ mask: SIMDMask<SIMD8<Int32>>) -> Int32Vector {
  Int32Vector.zero.replacing(with: Int32Vector(repeating: 1), where: mask)
}

@inline(__always)
private func flags(_ mask: SIMDMask<SIMD4<Int64>>) -> SIMD4<Int32> {
  SIMD4<Int32>(truncatingIfNeeded: Int64Vector.zero.replacing(with: Int64Vector(repeating: 1), where: mask))
}

enum TileArithmetic {
  typealias Register = UnsafeMutableRawPointer

  static func unary(_ operation: UnaryOperation, _ type: RegisterType, _ t: Register, _ a: Register, _ count: Int) {
    switch type {
    case .float32: unaryFloat(operation, t, a, count)
    case .float64: unaryDouble(operation, t, a, count)
    case .int32: unaryInt32(operation, t, a, count)
    case .int64: unaryInt64(operation, t, a, count)
    }
  }

  private static func unaryFloat(_ operation: UnaryOperation, _ t: Register, _ a: Register, _ count: Int) {
    @inline(__always) func map(_ body: (FloatVector) -> FloatVector) { mapVectors(t, a, count, body) }
    @inline(__always) func each(_ body: (Float) -> Float) { mapScalars(t, a, count, body) }
    switch operation {
    case .negate: map { -$0 }
    case .absolute: map { $0.magnitude }
    case .sign:
      map { x in
        FloatVector.zero.replacing(with: 1, where: x .> 0).replacing(with: -1, where: x .< 0)
      }
    case .reciprocal: map { 1 / $0 }
    case .exp: map { $0.exponential }
    case .expm1: map { $0.exponentialMinusOne }
    case .log: map { $0.logarithm }
    case .log1p: map { $0.logarithmOnePlus }
    case .log2: each { Foundation.log2($0) }
    case .log10: each { Foundation.log10($0) }
    case .sqrt: map { $0.squareRoot() }
    case .rsqrt: map { 1 / $0.squareRoot() }
    case .sin: map { $0.sine(isCosine: false) }
    case .cos: map { $0.sine(isCosine: true) }
    case .tanh: map { $0.hyperbolicTangent }
    case .erf: map { $0.errorFunction }
    case .floor: map { $0.roundedToInteger(.down) }
    case .ceil: map { $0.roundedToInteger(.up) }
    case .round: map { $0.roundedToInteger(.toNearestOrEven) }
    case .truncate: map { $0.roundedToInteger(.towardZero) }
    case .logicalNot, .bitwiseNot: mapVectors(t, a, count) { (x: FloatVector) in flags(x .== 0) }
    case .isNaN: mapVectors(t, a, count) { (x: FloatVector) in flags(x .!= x) }
    }
  }

  private static func unaryDouble(_ operation: UnaryOperation, _ t: Register, _ a: Register, _ count: Int) {
    @inline(__always) func map(_ body: (DoubleVector) -> DoubleVector) { mapVectors(t, a, count, body) }
    @inline(__always) func each(_ body: (Double) -> Double) { mapScalars(t, a, count, body) }
    switch operation {
    case .negate: map { -$0 }
    case .absolute: each { Swift.abs($0) }
    case .sign: each { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }
    case .reciprocal: map { 1 / $0 }
    case .exp: each { Foundation.exp($0) }
    case .expm1: each { Foundation.expm1($0) }
    case .log: each { Foundation.log($0) }
    case .log1p: each { Foundation.log1p($0) }
    case .log2: each { Foundation.log2($0) }
    case .log10: each { Foundation.log10($0) }
    case .sqrt: map { $0.squareRoot() }
    case .rsqrt: map { 1 / $0.squareRoot() }
    case .sin: each { Foundation.sin($0) }
    case .cos: each { Foundation.cos($0) }
    case .tanh: each { Foundation.tanh($0) }
    case .erf: each { Foundation.erf($0) }
    case .floor: each { $0.rounded(.down) }
    case .ceil: each { $0.rounded(.up) }
    case .round: each { $0.rounded(.toNearestOrEven) }
    case .truncate: each { $0.rounded(.towardZero) }
    case .logicalNot, .bitwiseNot: mapVectors(t, a, count) { (x: DoubleVector) in flags(x .== 0) }
    case .isNaN: mapVectors(t, a, count) { (x: DoubleVector) in flags(x .!= x) }
    }
  }

  private static func unaryInt32(_ operation: UnaryOperation, _ t: Register, _ a: Register, _ count: Int) {
    @inline(__always) func map(_ body: (Int32Vector) -> Int32Vector) { mapVectors(t, a, count, body) }
    switch operation {
    case .negate: map { Int32Vector.zero &- $0 }
    case .absolute: map { x in (x ^ (x &>> 31)) &- (x &>> 31) }
    case .sign: map { x in flags(x .> Int32Vector.zero) &- flags(x .< Int32Vector.zero) }
    case .logicalNot: map { flags($0 .== Int32Vector.zero) }
    case .bitwiseNot: map { ~$0 }
    case .isNaN: map { _ in .zero }
    default: map { $0 }
    }
  }

  private static func unaryInt64(_ operation: UnaryOperation, _ t: Register, _ a: Register, _ count: Int) {
    @inline(__always) func map(_ body: (Int64Vector) -> Int64Vector) { mapVectors(t, a, count, body) }
    switch operation {
    case .negate: map { Int64Vector.zero &- $0 }
    case .absolute: mapScalars(t, a, count) { (x: Int64) in x < 0 ? 0 &- x : x }
    case .sign: mapScalars(t, a, count) { (x: Int64) in x.signum() }
    case .logicalNot: mapVectors(t, a, count) { (x: Int64Vector) in flags(x .== Int64Vector.zero) }
    case .bitwiseNot: map { ~$0 }
    case .isNaN: mapScalars(t, a, count) { (_: Int64) in Int32(0) }
    default: map { $0 }
    }
  }

  static func binary(
    _ operation: BinaryOperation, _ type: RegisterType, _ t: Register, _ a: Register, _ b: Register, _ count: Int
  ) {
    switch type {
    case .float32: binaryFloat(operation, t, a, b, count)
    case .float64: binaryDouble(operation, t, a, b, count)
    case .int32: binaryInt32(operation, t, a, b, count)
    case .int64: binaryInt64(operation, t, a, b, count)
    }
  }

  private static func binaryFloat(_ operation: BinaryOperation, _ t: Register, _ a: Register, _ b: Register, _ n: Int) {
    @inline(__always) func map(_ body: (FloatVector, FloatVector) -> FloatVector) { mapVectors(t, a, b, n, body) }
    @inline(__always) func compare(_ body: (FloatVector, FloatVector) -> SIMDMask<SIMD8<Int32>>) {
      mapVectors(t, a, b, n) { (x: FloatVector, y: FloatVector) in flags(body(x, y)) }
    }
    switch operation {
    case .add: map { $0 + $1 }
    case .subtract: map { $0 - $1 }
    case .multiply: map { $0 * $1 }
    case .divide: map { $0 / $1 }
    case .minimum: map { x, y in y.replacing(with: x, where: (x .< y) .| (x .!= x)) }
    case .maximum: map { x, y in y.replacing(with: x, where: (x .> y) .| (x .!= x)) }
    case .equal: compare { $0 .== $1 }
    case .notEqual: compare { $0 .!= $1 }
    case .less: compare { $0 .< $1 }
    case .lessOrEqual: compare { $0 .<= $1 }
    case .greater: compare { $0 .> $1 }
    case .greaterOrEqual: compare { $0 .>= $1 }
    case .power: mapScalars(t, a, b, n) { (x: Float, y: Float) in Float(Foundation.pow(Double(x), Double(y))) }
    case .floorDivide: mapScalars(t, a, b, n) { (x: Float, y: Float) in floorDivide(x, y) }
    case .remainder: mapScalars(t, a, b, n) { (x: Float, y: Float) in flooredRemainder(x, y) }
    case .bitwiseAnd, .bitwiseOr, .bitwiseXor: break  // Refused when the kernel was compiled.
    }
  }

  private static func binaryDouble(_ operation: BinaryOperation, _ t: Register, _ a: Register, _ b: Register, _ n: Int)
  {
    @inline(__always) func map(_ body: (DoubleVector, DoubleVector) -> DoubleVector) { mapVectors(t, a, b, n, body) }
    @inline(__always) func compare(_ body: (DoubleVector, DoubleVector) -> SIMDMask<SIMD4<Int64>>) {
      mapVectors(t, a, b, n) { (x: DoubleVector, y: DoubleVector) in flags(body(x, y)) }
    }
    switch operation {
    case .add: map { $0 + $1 }
    case .subtract: map { $0 - $1 }
    case .multiply: map { $0 * $1 }
    case .divide: map { $0 / $1 }
    case .minimum: map { x, y in y.replacing(with: x, where: (x .< y) .| (x .!= x)) }
    case .maximum: map { x, y in y.replacing(with: x, where: (x .> y) .| (x .!= x)) }
    case .equal: compare { $0 .== $1 }
    case .notEqual: compare { $0 .!= $1 }
    case .less: compare { $0 .< $1 }
    case .lessOrEqual: compare { $0 .<= $1 }
    case .greater: compare { $0 .> $1 }
    case .greaterOrEqual: compare { $0 .>= $1 }
    case .power: mapScalars(t, a, b, n) { (x: Double, y: Double) in Foundation.pow(x, y) }
    case .floorDivide: mapScalars(t, a, b, n) { (x: Double, y: Double) in floorDivide(x, y) }
    case .remainder: mapScalars(t, a, b, n) { (x: Double, y: Double) in flooredRemainder(x, y) }
    case .bitwiseAnd, .bitwiseOr, .bitwiseXor: break  // Refused when the kernel was compiled.
    }
  }

  private static func binaryInt32(_ operation: BinaryOperation, _ t: Register, _ a: Register, _ b: Register, _ n: Int) {
    @inline(__always) func map(_ body: (Int32Vector, Int32Vector) -> Int32Vector) { mapVectors(t, a, b, n, body) }
    @inline(__always) func each(_ body: (Int32, Int32) -> Int32) { mapScalars(t, a, b, n, body) }
    switch operation {
    case .add: map { $0 &+ $1 }
    case .subtract: map { $0 &- $1 }
    case .multiply: map { $0 &* $1 }
    case .divide: each { truncatingDivide($0, $1) }
    case .floorDivide: each { floorDivide($0, $1) }
    case .remainder: each { flooredRemainder($0, $1) }
    case .power: each { power($0, $1) }
    case .minimum: map { x, y in y.replacing(with: x, where: x .< y) }
    case .maximum: map { x, y in y.replacing(with: x, where: x .> y) }
    case .bitwiseAnd: map { $0 & $1 }
    case .bitwiseOr: map { $0 | $1 }
    case .bitwiseXor: map { $0 ^ $1 }
    case .equal: map { flags($0 .== $1) }
    case .notEqual: map { flags($0 .!= $1) }
    case .less: map { flags($0 .< $1) }
    case .lessOrEqual: map { flags($0 .<= $1) }
    case .greater: map { flags($0 .> $1) }
    case .greaterOrEqual: map { flags($0 .>= $1) }
    }
  }

  private static func binaryInt64(_ operation: BinaryOperation, _ t: Register, _ a: Register, _ b: Register, _ n: Int) {
    @inline(__always) func map(_ body: (Int64Vector, Int64Vector) -> Int64Vector) { mapVectors(t, a, b, n, body) }
    @inline(__always) func each(_ body: (Int64, Int64) -> Int64) { mapScalars(t, a, b, n, body) }
    @inline(__always) func compare(_ body: (Int64, Int64) -> Bool) {
      mapScalars(t, a, b, n) { (x: Int64, y: Int64) in Int32(body(x, y) ? 1 : 0) }
    }
    switch operation {
    case .add: map { $0 &+ $1 }
    case .subtract: map { $0 &- $1 }
    case .multiply: each { $0 &* $1 }
    case .divide: each { truncatingDivide($0, $1) }
    case .floorDivide: each { floorDivide($0, $1) }
    case .remainder: each { flooredRemainder($0, $1) }
    case .power: each { power($0, $1) }
    case .minimum: each { $0 < $1 ? $0 : $1 }
    case .maximum: each { $0 > $1 ? $0 : $1 }
    case .bitwiseAnd: map { $0 & $1 }
    case .bitwiseOr: map { $0 | $1 }
    case .bitwiseXor: map { $0 ^ $1 }
    case .equal: compare { $0 == $1 }
    case .notEqual: compare { $0 != $1 }
    case .less: compare { $0 < $1 }
    case .lessOrEqual: compare { $0 <= $1 }
    case .greater: compare { $0 > $1 }
    case .greaterOrEqual: compare { $0 >= $1 }
    }
  }

  static func select(
    _ type: RegisterType, _ t: Register, _ condition: Register, _ a: Register, _ b: Register, _ count: Int
  ) {
    // A condition is 0 or 1: its negative is a mask.
    switch type {
    case .float32, .int32:
      mapVectors(t, condition, a, b, count) { (condition: Int32Vector, x: Int32Vector, y: Int32Vector) in
        let mask = Int32Vector.zero &- condition
        return (x & mask) | (y & ~mask)
      }
    case .float64, .int64:
      mapVectors(t, condition, a, b, count) { (condition: SIMD4<Int32>, x: Int64Vector, y: Int64Vector) in
        let mask = Int64Vector.zero &- Int64Vector(truncatingIfNeeded: condition)
        return (x & mask) | (y & ~mask)
      }
    }
  }
}
