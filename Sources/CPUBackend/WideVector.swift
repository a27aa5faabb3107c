/// Eight numbers on their way between float32 and float32, in float64.
///
/// Functions of such vectors are good for a result that is rounded to float32: their own error is far below that of the
/// rounding, and whatever float32 numbers go in, nothing overflows on the way.
typealias WideVector = SIMD8<Double>

extension SIMD8<Double> {
  @inline(__always) var bits: SIMD8<UInt64> { unsafeBitCast(self, to: SIMD8<UInt64>.self) }

  @inline(__always) init(bits: SIMD8<UInt64>) { self = unsafeBitCast(bits, to: Self.self) }

  @inline(__always) var magnitude: Self { Self(bits: bits & 0x7FFF_FFFF_FFFF_FFFF) }

  /// The magnitude of this number with the sign of another.
  @inline(__always) func withSign(of other: Self) -> Self {
    Self(bits: (bits & 0x7FFF_FFFF_FFFF_FFFF) | (other.bits & 0x8000_0000_0000_0000))
  }

  /// Limited to a range; NaN stays.
  @inline(__always) func limited(to range: ClosedRange<Double>) -> Self {
    replacing(with: range.upperBound, where: self .> range.upperBound)
      .replacing(with: range.lowerBound, where: self .< range.lowerBound)
  }

  /// To nearest, ties to even, for magnitudes below 2⁵¹. The low bits of the second are those of the integer.
  @inline(__always) func roundedSmall() -> (value: Self, bits: SIMD8<UInt64>) {
    let magic = 6_755_399_441_055_744.0  // 1.5 · 2⁵²
    let shifted = self + magic
    return (shifted - magic, shifted.bits)
  }

  // Coefficients come highest power first. No array, no loop: the optimizer sees constants.
  @inline(__always) func polynomial(_ a: Double, _ b: Double, _ c: Double, _ d: Double) -> Self {
    ((self * a + b) * self + c) * self + d
  }

  @inline(__always) func polynomial(_ a: Double, _ b: Double, _ c: Double, _ d: Double, _ e: Double) -> Self {
    polynomial(a, b, c, d) * self + e
  }

  @inline(__always)
  func polynomial(_ a: Double, _ b: Double, _ c: Double, _ d: Double, _ e: Double, _ f: Double) -> Self {
    polynomial(a, b, c, d, e) * self + f
  }

  @inline(__always)
  func polynomial(
    _ a: Double, _ b: Double, _ c: Double, _ d: Double, _ e: Double, _ f: Double, _ g: Double, _ h: Double,
    _ i: Double, _ j: Double
  ) -> Self {
    (((polynomial(a, b, c, d, e, f) * self + g) * self + h) * self + i) * self + j
  }

  @inline(__always)
  func polynomial(
    _ a: Double, _ b: Double, _ c: Double, _ d: Double, _ e: Double, _ f: Double, _ g: Double, _ h: Double,
    _ i: Double, _ j: Double, _ k: Double, _ l: Double
  ) -> Self {
    (polynomial(a, b, c, d, e, f, g, h, i, j) * self + k) * self + l
  }
}
