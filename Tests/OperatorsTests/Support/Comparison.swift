import GraphIR
import TensorCore

struct Mismatch: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// What is wrong with a value, if anything.
typealias Difference = String?

extension Difference {
  func explained(_ what: String) throws { if let self { throw Mismatch("\(what): \(self)") } }
}

/// `|got - needed| <= absolute + relative · |needed|`
struct Tolerance {
  var relative: Double
  var absolute: Double

  init(_ entry: JSON, _ dtype: DType, isExact: Bool) {
    if let recorded = entry["tol"]?.array?.compactMap(\.double), recorded.count == 2 {
      (relative, absolute) = (recorded[0], recorded[1])
    } else if isExact {
      (relative, absolute) = (0, 0)
    } else {
      switch dtype {
      case .float32: (relative, absolute) = (4e-6, 1e-6)
      case .float64: (relative, absolute) = (1e-9, 1e-11)
      case .float16: (relative, absolute) = (2e-3, 1e-4)
      case .bfloat16: (relative, absolute) = (1.6e-2, 1e-3)
      default: (relative, absolute) = (0, 0)
      }
    }
  }

  func accepts(_ got: Double, _ needed: Double) -> Bool {
    if got.isNaN || needed.isNaN { return got.isNaN && needed.isNaN }
    if got == needed { return true }
    if got.isInfinite || needed.isInfinite { return false }
    return abs(got - needed) <= absolute + relative * abs(needed)
  }
}

extension Tensor {
  func difference(from expected: Tensor, _ tolerance: Tolerance) throws -> Difference {
    if !dtype.isFloatingPoint {
      let (got, needed) = (try integers(), try expected.integers())
      guard let place = zip(got, needed).enumerated().first(where: { $1.0 != $1.1 }) else { return nil }
      return "element \(place.offset) is \(place.element.0), needed \(place.element.1)"
    }
    let (got, needed) = (try doubles(), try expected.doubles())
    guard let place = zip(got, needed).enumerated().first(where: { !tolerance.accepts($1.0, $1.1) }) else { return nil }
    return "element \(place.offset) is \(place.element.0), needed \(place.element.1) (\(tolerance))"
  }

  /// The elements of a floating-point tensor, in row-major order.
  func doubles() throws -> [Double] {
    switch dtype {
    case .float16: try elements(as: Half.self).map { Double(Float($0)) }
    case .bfloat16: try elements(as: BFloat16.self).map { Double(Float($0)) }
    case .float32: try elements(as: Float.self).map { Double($0) }
    case .float64: try elements(as: Double.self)
    default: try integers().map { Double($0) }
    }
  }

  /// The elements of an integer or bool tensor, in row-major order.
  func integers() throws -> [Int] {
    switch dtype {
    case .bool: try elements(as: Bool.self).map { $0 ? 1 : 0 }
    case .uint8: try elements(as: UInt8.self).map { Int($0) }
    case .int8: try elements(as: Int8.self).map { Int($0) }
    case .int16: try elements(as: Int16.self).map { Int($0) }
    case .int32: try elements(as: Int32.self).map { Int($0) }
    default: try elements(as: Int.self)
    }
  }

  func isZero() throws -> Bool { try doubles().allSatisfy { $0 == 0 } }
}

extension Value {
  /// Whether two results that are no tensors are the same, numbers to single precision.
  func matches(_ other: Value) -> Bool {
    if isNone || other.isNone { return isNone && other.isNone }
    if let a = scalar, let b = other.scalar {
      if a.doubleValue.isNaN { return b.doubleValue.isNaN }
      return a.doubleValue == b.doubleValue || abs(a.doubleValue - b.doubleValue) <= 1e-6 * abs(b.doubleValue)
    }
    return false
  }
}
