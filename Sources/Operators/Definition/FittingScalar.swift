import TensorCore

extension Call {
  /// The number at a position, as one of a dtype's kind.
  ///
  /// - Throws: `OperatorError` where the dtype has no such number. Fractions are cut off, and negative integers wrap in
  ///   uint8.
  func scalar(_ position: Int, fitting dtype: DType) throws -> Scalar {
    let value = try scalar(position)
    guard value.fits(dtype) else { throw mismatch(position, "a number that fits into \(dtype)") }
    return value.converted(to: dtype)
  }
}

extension Scalar {
  fileprivate func fits(_ dtype: DType) -> Bool {
    if dtype == .bool { return true }
    if let largest = dtype.largestFinite {
      return !doubleValue.isFinite || Swift.abs(doubleValue) <= largest
    }
    let (low, high) = (dtype.lowest.intValue, dtype.highest.intValue)
    switch self {
    case .bool: return true
    case .int(let value): return (dtype == .uint8 ? -high : low) <= value && value <= high
    case .double(let value): return Double(low) <= value && value < Double(high) + 1
    }
  }
}

extension DType {
  /// The largest finite number of a floating-point dtype.
  fileprivate var largestFinite: Double? {
    switch self {
    case .float16: 65504
    case .bfloat16: Double(Float(bitPattern: 0x7F7F_0000))
    case .float32: Double(Float.greatestFiniteMagnitude)
    case .float64: .greatestFiniteMagnitude
    default: nil
    }
  }

  /// A number that no element is above.
  var highest: Scalar {
    switch self {
    case .bool: .bool(true)
    case .uint8: .int(Int(UInt8.max))
    case .int8: .int(Int(Int8.max))
    case .int16: .int(Int(Int16.max))
    case .int32: .int(Int(Int32.max))
    case .int64: .int(Int.max)
    case .float16, .bfloat16, .float32, .float64: .double(.infinity)
    }
  }
}
