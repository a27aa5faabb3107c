import TensorCore

/// The types that tile registers hold. Narrow integers and bool (as 0 or 1) live in `int32`, half precision in `float32`.
enum RegisterType: UInt8 {
  case float32, float64, int32, int64

  init(_ dtype: DType) {
    switch dtype {
    case .bool, .uint8, .int8, .int16, .int32: self = .int32
    case .int64: self = .int64
    case .float16, .bfloat16, .float32: self = .float32
    case .float64: self = .float64
    }
  }

  var byteCount: Int {
    switch self {
    case .float32, .int32: 4
    case .float64, .int64: 8
    }
  }

  var isFloatingPoint: Bool { self == .float32 || self == .float64 }
}

typealias FloatVector = SIMD8<Float>
typealias DoubleVector = SIMD4<Double>
typealias Int32Vector = SIMD8<Int32>
typealias Int64Vector = SIMD4<Int64>
