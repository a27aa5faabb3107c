/// An IEEE 754 binary16 number, kept as its bits; arithmetic happens in `Float`.
///
/// Swift's own `Float16` does not exist on every platform this package builds for.
public struct Half: Hashable, Sendable {
  public var bitPattern: UInt16

  @inlinable public init(bitPattern: UInt16) { self.bitPattern = bitPattern }

  /// Rounds to nearest, ties to even; overflow gives infinity.
  @inlinable
  public init(_ value: Float) {
    let bits = value.bitPattern
    let sign = UInt16(truncatingIfNeeded: (bits >> 16) & 0x8000)
    let magnitude = bits & 0x7FFF_FFFF
    if magnitude > 0x7F80_0000 {
      bitPattern = sign | 0x7E00
    } else if magnitude >= 0x477F_F000 {
      bitPattern = sign | 0x7C00
    } else if magnitude < 0x3880_0000 {
      // Adding 0.5 aligns the subnormal's last place with the float's own, so the hardware rounds for us.
      let shifted = Float(bitPattern: magnitude) + 0.5
      bitPattern = sign | UInt16(truncatingIfNeeded: shifted.bitPattern &- 0x3F00_0000)
    } else {
      let isOdd = (magnitude >> 13) & 1
      bitPattern = sign | UInt16(truncatingIfNeeded: (magnitude &- 0x3800_0000 &+ 0xFFF &+ isOdd) >> 13)
    }
  }
}

extension Float {
  @inlinable
  public init(_ half: Half) {
    let sign = UInt32(half.bitPattern & 0x8000) << 16
    let magnitude = UInt32(half.bitPattern & 0x7FFF)
    if magnitude >= 0x7C00 {
      self.init(bitPattern: sign | 0x7F80_0000 | (magnitude & 0x3FF) << 13)
    } else {
      // 2^112 moves the exponent from half's bias to float's, subnormals included.
      let scaled = Float(bitPattern: magnitude << 13) * Float(bitPattern: 0x7780_0000)
      self.init(bitPattern: sign | scaled.bitPattern)
    }
  }
}

/// A bfloat16 number: the upper half of a `Float`, kept as its bits; arithmetic happens in `Float`.
public struct BFloat16: Hashable, Sendable {
  public var bitPattern: UInt16

  @inlinable public init(bitPattern: UInt16) { self.bitPattern = bitPattern }

  /// Rounds to nearest, ties to even.
  @inlinable
  public init(_ value: Float) {
    let bits = value.bitPattern
    if bits & 0x7FFF_FFFF > 0x7F80_0000 {
      bitPattern = UInt16(truncatingIfNeeded: bits >> 16) | 0x40
    } else {
      bitPattern = UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
    }
  }
}

extension Float {
  @inlinable public init(_ value: BFloat16) { self.init(bitPattern: UInt32(value.bitPattern) << 16) }
}
