import TensorCore

extension DType {
  /// The largest number that is not infinite; of integers and bool, the largest.
  var greatestFinite: Double {
    switch self {
    case .bool: 1
    case .uint8: Double(UInt8.max)
    case .int8: Double(Int8.max)
    case .int16: Double(Int16.max)
    case .int32: Double(Int32.max)
    case .int64: Double(Int64.max)
    case .float16: 65504
    case .bfloat16: 0x1.FEp127
    case .float32: Double(Float.greatestFiniteMagnitude)
    case .float64: .greatestFiniteMagnitude
    }
  }
}
