import TensorCore

extension Tensor {
  /// The elements as doubles, in row-major order.
  package func doubles() throws -> [Double] {
    switch dtype {
    case .float16: try elements(as: Half.self).map { Double(Float($0)) }
    case .bfloat16: try elements(as: BFloat16.self).map { Double(Float($0)) }
    case .float32: try elements(as: Float.self).map { Double($0) }
    case .float64: try elements(as: Double.self)
    default: try integers().map { Double($0) }
    }
  }

  /// The elements of an integer or bool tensor, in row-major order.
  package func integers() throws -> [Int] {
    switch dtype {
    case .bool: try elements(as: Bool.self).map { $0 ? 1 : 0 }
    case .uint8: try elements(as: UInt8.self).map { Int($0) }
    case .int8: try elements(as: Int8.self).map { Int($0) }
    case .int16: try elements(as: Int16.self).map { Int($0) }
    case .int32: try elements(as: Int32.self).map { Int($0) }
    default: try elements(as: Int.self)
    }
  }
}
