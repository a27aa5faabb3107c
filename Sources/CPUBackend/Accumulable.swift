/// A number that reductions and colliding stores fold others into.
///
/// Integers wrap; the lesser and the greater of two reals are NaN where one of them is.
protocol Accumulable: BitwiseCopyable, Comparable {
  static var zeroValue: Self { get }
  var isNaNValue: Bool { get }
  func plus(_ other: Self) -> Self
  func times(_ other: Self) -> Self
  static func lesser(_ a: Self, _ b: Self) -> Self
  static func greater(_ a: Self, _ b: Self) -> Self
}

extension Accumulable where Self: FloatingPoint {
  @inline(__always) static var zeroValue: Self { 0 }
  @inline(__always) var isNaNValue: Bool { self != self }
  @inline(__always) func plus(_ other: Self) -> Self { self + other }
  @inline(__always) func times(_ other: Self) -> Self { self * other }
  @inline(__always) static func lesser(_ a: Self, _ b: Self) -> Self { a < b || a != a ? a : b }
  @inline(__always) static func greater(_ a: Self, _ b: Self) -> Self { a > b || a != a ? a : b }
}

extension Accumulable where Self: FixedWidthInteger {
  @inline(__always) static var zeroValue: Self { 0 }
  @inline(__always) var isNaNValue: Bool { false }
  @inline(__always) func plus(_ other: Self) -> Self { self &+ other }
  @inline(__always) func times(_ other: Self) -> Self { self &* other }
  @inline(__always) static func lesser(_ a: Self, _ b: Self) -> Self { a < b ? a : b }
  @inline(__always) static func greater(_ a: Self, _ b: Self) -> Self { a > b ? a : b }
}

extension Float: Accumulable {}
extension Double: Accumulable {}
extension Int32: Accumulable {}
extension Int64: Accumulable {}
