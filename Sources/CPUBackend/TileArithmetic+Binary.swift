import Foundation
import LoopIR

extension TileArithmetic {
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
    @inline(__always) func each(_ body: (Float, Float) -> Float) { mapScalars(t, a, b, n, body) }
    @inline(__always) func widened(_ body: (WideVector, WideVector) -> WideVector) {
      map { FloatVector(body(WideVector($0), WideVector($1))) }
    }
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
    case .power: widened { $0.power($1) }
    case .floorDivide: each { floorDivide($0, $1) }
    case .remainder: each { flooredRemainder($0, $1) }
    case .truncatedRemainder: each { $0.truncatingRemainder(dividingBy: $1) }
    case .atan2: widened { $0.angle($1) }
    case .hypot: widened { $0.distance($1) }
    case .copySign: map { $0.withSign(of: $1) }
    case .nextAfter: each { nextAfter($0, $1) }
    case .polygamma:
      mapScalars(t, a, b, n) { (x: Float, y: Float) in Float(polygamma(order: Double(x), Double(y))) }
    case .bitwiseAnd, .bitwiseOr, .bitwiseXor, .shiftLeft, .shiftRight: break  // Refused when the kernel was compiled.
    }
  }

  private static func binaryDouble(_ operation: BinaryOperation, _ t: Register, _ a: Register, _ b: Register, _ n: Int)
  {
    @inline(__always) func map(_ body: (DoubleVector, DoubleVector) -> DoubleVector) { mapVectors(t, a, b, n, body) }
    @inline(__always) func each(_ body: (Double, Double) -> Double) { mapScalars(t, a, b, n, body) }
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
    case .power: each { Foundation.pow($0, $1) }
    case .floorDivide: each { floorDivide($0, $1) }
    case .remainder: each { flooredRemainder($0, $1) }
    case .truncatedRemainder: each { $0.truncatingRemainder(dividingBy: $1) }
    case .atan2: each { Foundation.atan2($0, $1) }
    case .hypot: each { Foundation.hypot($0, $1) }
    case .copySign: each { Double(signOf: $1, magnitudeOf: $0) }
    case .nextAfter: each { nextAfter($0, $1) }
    case .polygamma: each { polygamma(order: $0, $1) }
    case .bitwiseAnd, .bitwiseOr, .bitwiseXor, .shiftLeft, .shiftRight: break  // Refused when the kernel was compiled.
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
    case .truncatedRemainder: each { truncatedRemainder($0, $1) }
    case .power: each { power($0, $1) }
    case .minimum: map { x, y in y.replacing(with: x, where: x .< y) }
    case .maximum: map { x, y in y.replacing(with: x, where: x .> y) }
    case .bitwiseAnd: map { $0 & $1 }
    case .bitwiseOr: map { $0 | $1 }
    case .bitwiseXor: map { $0 ^ $1 }
    case .shiftLeft: each { shiftLeft($0, by: $1) }
    case .shiftRight: each { shiftRight($0, by: $1) }
    case .atan2, .hypot, .copySign, .nextAfter, .polygamma: break  // Refused when the kernel was compiled.
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
    case .truncatedRemainder: each { truncatedRemainder($0, $1) }
    case .power: each { power($0, $1) }
    case .minimum: each { $0 < $1 ? $0 : $1 }
    case .maximum: each { $0 > $1 ? $0 : $1 }
    case .bitwiseAnd: map { $0 & $1 }
    case .bitwiseOr: map { $0 | $1 }
    case .bitwiseXor: map { $0 ^ $1 }
    case .shiftLeft: each { shiftLeft($0, by: $1) }
    case .shiftRight: each { shiftRight($0, by: $1) }
    case .atan2, .hypot, .copySign, .nextAfter, .polygamma: break  // Refused when the kernel was compiled.
    case .equal: compare { $0 == $1 }
    case .notEqual: compare { $0 != $1 }
    case .less: compare { $0 < $1 }
    case .lessOrEqual: compare { $0 <= $1 }
    case .greater: compare { $0 > $1 }
    case .greaterOrEqual: compare { $0 >= $1 }
    }
  }
}
