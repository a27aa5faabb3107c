import GraphIR
import TensorCore

extension DType {
  /// The integers that elements can be; nil for floating point.
  var integers: ClosedRange<Int>? {
    switch self {
    case .bool: 0...1
    case .uint8: 0...Int(UInt8.max)
    case .int8: Int(Int8.min)...Int(Int8.max)
    case .int16: Int(Int16.min)...Int(Int16.max)
    case .int32: Int(Int32.min)...Int(Int32.max)
    case .int64: Int.min...Int.max
    case .float16, .bfloat16, .float32, .float64: nil
    }
  }

  /// The largest number that is not infinite, of floating point.
  var greatestFinite: Double {
    switch self {
    case .float16: 65504
    case .bfloat16: 0x1.FEp127
    case .float32: Double(Float.greatestFiniteMagnitude)
    default: .greatestFiniteMagnitude
    }
  }

  /// A number that no element is above.
  var highest: Scalar { integers.map { Scalar.int($0.upperBound).converted(to: self) } ?? .double(.infinity) }
  /// A number that no element is below.
  var lowest: Scalar { integers.map { Scalar.int($0.lowerBound).converted(to: self) } ?? .double(-.infinity) }

  /// Whether a number can become an element without overflow; fractions are cut off. As in PyTorch, every number can be a
  /// bool, and negative ones wrap around to unsigned integers.
  func holds(_ number: Scalar) -> Bool {
    guard self != .bool else { return true }
    guard let integers else {
      let value = number.doubleValue
      return !value.isFinite || abs(value) <= greatestFinite
    }
    let range = self == .uint8 ? -integers.upperBound...integers.upperBound : integers
    switch number {
    case .double(let value): return Int(exactly: value.rounded(.towardZero)).map(range.contains) ?? false
    default: return range.contains(number.intValue)
    }
  }
}

extension Call {
  /// The number at a position, as one of a dtype's kind.
  ///
  /// - Throws: `OperatorError` where the dtype has no such number. Fractions are cut off, and negative integers wrap in
  ///   uint8.
  func scalar(_ position: Int, fitting dtype: DType) throws -> Scalar {
    let value = try scalar(position)
    guard dtype.holds(value) else { throw mismatch(position, "a number that fits into \(dtype)") }
    return value.converted(to: dtype)
  }
}

extension OperatorCall {
  /// - Throws: `OperatorError` where the number at a position cannot become an element of a type.
  func checkNumber(_ position: Int, fits dtype: DType) throws {
    guard let number = arguments[position].scalar, !dtype.holds(number) else { return }
    throw OperatorError(
      .dtype, target.name,
      "argument '\(target.schema.parameters[position].name)' is \(number), which \(dtype) cannot hold")
  }
}
