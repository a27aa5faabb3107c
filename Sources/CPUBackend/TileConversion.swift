import LoopIR
import TensorCore

extension TileArithmetic {
  static func convert(_ from: RegisterType, _ to: RegisterType, _ t: Register, _ a: Register, _ n: Int) {
    switch (from, to) {
    case (.float32, .float32), (.int32, .int32): mapVectors(t, a, n) { (x: Int32Vector) in x }
    case (.float64, .float64), (.int64, .int64): mapVectors(t, a, n) { (x: Int64Vector) in x }
    case (.float32, .float64): mapScalars(t, a, n) { (x: Float) in Double(x) }
    case (.float32, .int32): mapScalars(t, a, n) { (x: Float) -> Int32 in saturated(x) }
    case (.float32, .int64): mapScalars(t, a, n) { (x: Float) -> Int64 in saturated(x) }
    case (.float64, .float32): mapScalars(t, a, n) { (x: Double) in Float(x) }
    case (.float64, .int32): mapScalars(t, a, n) { (x: Double) -> Int32 in saturated(x) }
    case (.float64, .int64): mapScalars(t, a, n) { (x: Double) -> Int64 in saturated(x) }
    case (.int32, .float32): mapVectors(t, a, n) { (x: Int32Vector) in FloatVector(x) }
    case (.int32, .float64): mapScalars(t, a, n) { (x: Int32) in Double(x) }
    case (.int32, .int64): mapScalars(t, a, n) { (x: Int32) in Int64(x) }
    case (.int64, .float32): mapScalars(t, a, n) { (x: Int64) in Float(x) }
    case (.int64, .float64): mapScalars(t, a, n) { (x: Int64) in Double(x) }
    case (.int64, .int32): mapScalars(t, a, n) { (x: Int64) in Int32(truncatingIfNeeded: x) }
    }
  }

  /// Whether a number is not 0, NaN included.
  static func truth(_ from: RegisterType, _ t: Register, _ a: Register, _ n: Int) {
    switch from {
    case .float32: mapScalars(t, a, n) { (x: Float) in Int32(x == 0 ? 0 : 1) }
    case .float64: mapScalars(t, a, n) { (x: Double) in Int32(x == 0 ? 0 : 1) }
    case .int32: mapScalars(t, a, n) { (x: Int32) in Int32(x == 0 ? 0 : 1) }
    case .int64: mapScalars(t, a, n) { (x: Int64) in Int32(x == 0 ? 0 : 1) }
    }
  }

  /// Wraps to a narrow integer, rounds to half precision.
  static func round(_ dtype: DType, _ t: Register, _ a: Register, _ n: Int) {
    switch dtype {
    case .uint8: mapVectors(t, a, n) { (x: Int32Vector) in x & 0xFF }
    case .int8: mapVectors(t, a, n) { (x: Int32Vector) in (x &<< 24) &>> 24 }
    case .int16: mapVectors(t, a, n) { (x: Int32Vector) in (x &<< 16) &>> 16 }
    case .float16: mapScalars(t, a, n) { (x: Float) in Float(Half(x)) }
    case .bfloat16: mapScalars(t, a, n) { (x: Float) in Float(BFloat16(x)) }
    default: mapScalars(t, a, n) { (x: Int32) in x }
    }
  }

  /// Fills a register with one number.
  static func fill(_ type: RegisterType, _ t: Register, _ bits: UInt64, _ n: Int) {
    switch type {
    case .float32, .int32:
      let value = Int32Vector(repeating: Int32(truncatingIfNeeded: bits))
      mapVectors(t, t, n) { (_: Int32Vector) in value }
    case .float64, .int64:
      let value = Int64Vector(repeating: Int64(bitPattern: bits))
      mapVectors(t, t, n) { (_: Int64Vector) in value }
    }
  }

  /// Repeats each of `groups` values `length` times, or, for columns, the row of values once per row.
  static func spread(_ type: RegisterType, _ t: Register, _ a: Register, _ tile: borrowing TileContext, columns: Bool) {
    if type.byteCount == 4 {
      spread(t.assumingMemoryBound(to: Int32.self), a.assumingMemoryBound(to: Int32.self), tile, columns: columns)
    } else {
      spread(t.assumingMemoryBound(to: Int64.self), a.assumingMemoryBound(to: Int64.self), tile, columns: columns)
    }
  }

  @inline(__always)
  private static func spread<Element: BitwiseCopyable>(
    _ output: UnsafeMutablePointer<Element>, _ input: UnsafeMutablePointer<Element>, _ tile: borrowing TileContext,
    columns: Bool
  ) {
    if columns {
      for row in 0..<tile.rowCount {
        (output + row * tile.columnCount).update(from: input, count: tile.columnCount)
      }
    } else {
      let length = tile.groupLength
      for group in 0..<tile.groupCount {
        (output + group &* length).update(repeating: input[group], count: length)
      }
    }
  }
}
