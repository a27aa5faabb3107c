/// A size, stride or offset: one machine word that is either a plain integer or a reference to a symbolic expression.
///
/// Every word in `concreteRange` is that integer itself, so reading a concrete value costs nothing. The words below the range
/// are reserved for symbolic expressions: a layout has one representation whether its sizes are known or not.
/// This release makes no symbolic values.
public struct SymInt: Hashable, Sendable {
  @usableFromInline let word: Int

  /// The values a concrete size can have.
  public static let concreteRange = (Int.min / 2)...Int.max

  /// - Precondition: `value` lies in `concreteRange`. Only a product or sum that has wrapped around does not, and such sizes
  ///   are refused where memory is asked for.
  @inlinable public init(_ value: Int) { word = value }

  /// The integer.
  @inlinable public var value: Int { word }
}

extension SymInt: ExpressibleByIntegerLiteral {
  @inlinable public init(integerLiteral value: Int) { self.init(value) }
}

extension SymInt: Comparable {
  @inlinable public static func < (a: SymInt, b: SymInt) -> Bool { a.word < b.word }
}

extension SymInt: CustomStringConvertible {
  public var description: String { String(word) }
}

// Arithmetic wraps around: sizes whose product does not fit are refused where tensors are made (`Layout.byteCount`),
// by an error rather than a trap.
extension SymInt {
  @inlinable public static func + (a: SymInt, b: SymInt) -> SymInt { SymInt(a.word &+ b.word) }
  @inlinable public static func - (a: SymInt, b: SymInt) -> SymInt { SymInt(a.word &- b.word) }
  @inlinable public static func * (a: SymInt, b: SymInt) -> SymInt { SymInt(a.word &* b.word) }
  @inlinable public static prefix func - (a: SymInt) -> SymInt { SymInt(0 &- a.word) }
  @inlinable public static func += (a: inout SymInt, b: SymInt) { a = a + b }
  @inlinable public static func -= (a: inout SymInt, b: SymInt) { a = a - b }
  @inlinable public static func *= (a: inout SymInt, b: SymInt) { a = a * b }

  /// The quotient rounded toward negative infinity, as sizes are divided in shape rules.
  ///
  /// - Precondition: `b` is not zero.
  @inlinable
  public static func / (a: SymInt, b: SymInt) -> SymInt {
    let (quotient, remainder) = a.word.quotientAndRemainder(dividingBy: b.word)
    return SymInt(remainder != 0 && (remainder < 0) != (b.word < 0) ? quotient - 1 : quotient)
  }

  /// The remainder that goes with `/`; it has the divisor's sign.
  @inlinable public static func % (a: SymInt, b: SymInt) -> SymInt { a - (a / b) * b }
}

extension Array where Element == SymInt {
  @inlinable public init(_ values: [Int]) { self = values.map { SymInt($0) } }
  /// The sizes as integers.
  @inlinable public var values: [Int] { map(\.value) }
}
