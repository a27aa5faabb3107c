import Foundation
import LoopIR

extension TileArithmetic {
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
    @inline(__always) func widened(_ body: (WideVector) -> WideVector) { map { $0.widened(body) } }
    @inline(__always) func each(_ body: (Double) -> Double) {
      mapScalars(t, a, count) { (x: Float) in Float(body(Double(x))) }
    }
    switch operation {
    case .negate: map { -$0 }
    case .absolute: map { $0.magnitude }
    case .sign:
      map { x in
        FloatVector.zero.replacing(with: 1, where: x .> 0).replacing(with: -1, where: x .< 0)
      }
    case .reciprocal: map { 1 / $0 }
    case .sqrt: map { $0.squareRoot() }
    case .rsqrt: map { 1 / $0.squareRoot() }
    case .exp: map { $0.exponential }
    case .exp2: widened { $0.exponentialBase2 }
    case .expm1: widened { $0.exponentialMinusOne }
    case .log: widened { $0.logarithm }
    case .log1p: widened { $0.logarithmOnePlus }
    case .log2: widened { $0.logarithmBase2 }
    case .log10: widened { $0.logarithmBase10 }
    case .sin: map { $0.sine(isCosine: false) }
    case .cos: map { $0.sine(isCosine: true) }
    case .tan: map { $0.tangent }
    case .asin: widened { $0.arcsine }
    case .acos: widened { $0.arccosine }
    case .atan: widened { $0.arctangent }
    case .sinh: widened { $0.hyperbolicSine }
    case .cosh: widened { $0.hyperbolicCosine }
    case .tanh: map { $0.hyperbolicTangent }
    case .asinh: widened { $0.inverseHyperbolicSine }
    case .acosh: widened { $0.inverseHyperbolicCosine }
    case .atanh: widened { $0.inverseHyperbolicTangent }
    case .sigmoid: widened { $0.logistic }
    case .erf: map { $0.errorFunction }
    case .erfc: widened { $0.complementaryErrorFunction }
    case .ndtr: widened { $0.normalDistribution }
    case .erfinv: each { inverseErrorFunction($0) }
    case .lgamma: each { logGamma($0) }
    case .digamma: each { digamma($0) }
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
    case .sqrt: map { $0.squareRoot() }
    case .rsqrt: map { 1 / $0.squareRoot() }
    case .exp: each { Foundation.exp($0) }
    case .exp2: each { Foundation.exp2($0) }
    case .expm1: each { Foundation.expm1($0) }
    case .log: each { Foundation.log($0) }
    case .log1p: each { Foundation.log1p($0) }
    case .log2: each { Foundation.log2($0) }
    case .log10: each { Foundation.log10($0) }
    case .sin: each { Foundation.sin($0) }
    case .cos: each { Foundation.cos($0) }
    case .tan: each { Foundation.tan($0) }
    case .asin: each { Foundation.asin($0) }
    case .acos: each { Foundation.acos($0) }
    case .atan: each { Foundation.atan($0) }
    case .sinh: each { Foundation.sinh($0) }
    case .cosh: each { Foundation.cosh($0) }
    case .tanh: each { Foundation.tanh($0) }
    case .asinh: each { Foundation.asinh($0) }
    case .acosh: each { Foundation.acosh($0) }
    case .atanh: each { Foundation.atanh($0) }
    case .sigmoid: each { logistic($0) }
    case .erf: each { Foundation.erf($0) }
    case .erfc: each { Foundation.erfc($0) }
    case .erfinv: each { inverseErrorFunction($0) }
    case .ndtr: each { normalDistribution($0) }
    case .lgamma: each { logGamma($0) }
    case .digamma: each { digamma($0) }
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
}
