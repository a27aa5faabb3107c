import TensorCore

/// An element as it lies in memory, and what a register holds of it.
///
/// A protocol rather than closures beside the loops: loops over each type are then specialized whole.
protocol MemoryElement: BitwiseCopyable {
  associatedtype Wide: Accumulable

  var wide: Wide { get }
  /// Wraps integers, rounds reals.
  init(narrowing value: Wide)
  /// What two elements add up to.
  static func sum(_ a: Wide, _ b: Wide) -> Wide
}

extension MemoryElement {
  @inline(__always) static func sum(_ a: Wide, _ b: Wide) -> Wide { a.plus(b) }
  @inline(__always) static func product(_ a: Wide, _ b: Wide) -> Wide { a.times(b) }
}

extension MemoryElement where Self: FixedWidthInteger, Wide == Int32 {
  @inline(__always) var wide: Int32 { Int32(truncatingIfNeeded: self) }
  @inline(__always) init(narrowing value: Int32) { self.init(truncatingIfNeeded: value) }
}

extension MemoryElement where Wide == Self {
  @inline(__always) var wide: Self { self }
  @inline(__always) init(narrowing value: Self) { self = value }
}

extension Float: MemoryElement { typealias Wide = Float }
extension Int16: MemoryElement { typealias Wide = Int32 }
extension Int8: MemoryElement { typealias Wide = Int32 }
extension UInt8: MemoryElement { typealias Wide = Int32 }

extension Int32: MemoryElement {
  typealias Wide = Int32

  @inline(__always) var wide: Int32 { self }
  @inline(__always) init(narrowing value: Int32) { self = value }
}

extension Int64: MemoryElement {
  typealias Wide = Int64
}

extension Double: MemoryElement {
  typealias Wide = Double
}

extension Half: MemoryElement {
  @inline(__always) var wide: Float { Float(self) }
  @inline(__always) init(narrowing value: Float) { self.init(value) }
}

extension BFloat16: MemoryElement {
  @inline(__always) var wide: Float { Float(self) }
  @inline(__always) init(narrowing value: Float) { self.init(value) }
}

/// A bool: any byte but 0 counts as true, and 0 or 1 is written.
struct BoolByte: MemoryElement {
  var byte: UInt8

  @inline(__always) var wide: Int32 { byte == 0 ? 0 : 1 }
  @inline(__always) init(narrowing value: Int32) { byte = value == 0 ? 0 : 1 }
  @inline(__always) static func sum(_ a: Int32, _ b: Int32) -> Int32 { a | b }
}
