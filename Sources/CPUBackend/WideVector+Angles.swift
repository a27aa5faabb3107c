// Circular functions and their inverses. Errors are of the float32 result.

extension SIMD8<Double> {
  /// The bits of the least float32 number that `reducedAngle` is not exact enough for, 1.5 · 2²⁰.
  static var reducibleMagnitudeBits: Int32 { 0x49C0_0000 }

  /// The remainder r of x = n · π/2 + r, and n in the low bits.
  @inline(__always) func reducedAngle() -> (r: Self, quarters: SIMD8<UInt64>) {
    let (n, bits) = (self * 0.636_619_772_367_581_3).roundedSmall()
    // π/2 in two parts, the first short enough that its product with n is exact.
    return ((self - n * 1.570_796_326_734_125_6) - n * 6.077_100_506_506_192e-11, bits)
  }

  /// tan x where `reducedAngle` is exact enough; error below 0.51 ulp.
  @inline(__always) var tangent: Self {
    let (r, quarters) = magnitude.reducedAngle()
    let z = r * r
    let sine =
      z.polynomial(
        2.724_962_008_007_533e-6, -1.984_008_437_642_270_3e-4, 8.333_331_870_341_348e-3, -1.666_666_666_384_404_9e-1)
      * z * r + r
    let cosine =
      z.polynomial(
        -2.723_682_200_188_619_5e-7, 2.479_985_875_074_885_8e-5, -1.388_888_508_002_599_1e-3,
        4.166_666_663_727_906e-2, -4.999_999_999_996_371e-1) * z + 1
    // All bits where n is odd: there it is the negative of the cotangent.
    let isOdd = SIMD8<UInt64>.zero &- (quarters & 1)
    let numerator = Self(bits: (sine.bits & ~isOdd) | (cosine.bits & isOdd))
    let denominator = Self(bits: (cosine.bits & ~isOdd) | ((-sine).bits & isOdd))
    return Self(bits: (numerator / denominator).bits ^ (bits & 0x8000_0000_0000_0000))
  }

  /// The angle of the point (x, self); error below 0.53 ulp.
  @inline(__always) func angle(_ x: Self) -> Self {
    let (height, width) = (magnitude, x.magnitude)
    let isSteep = height .> width
    let (short, long) = (height.replacing(with: width, where: isSteep), width.replacing(with: height, where: isSteep))
    // Both may be 0 or infinite.
    let areInfinite = (short .== .infinity) .& (long .== .infinity)
    let areZero = (short .== 0) .& (long .== 0)
    let t = (short / long).replacing(with: 0, where: areZero).replacing(with: 1, where: areInfinite)
    let z = t * t
    let arc =
      z.polynomial(
        1.488_691_939_304_759_6e-3, -9.144_629_760_592_395e-3, 2.630_500_111_006_237_7e-2, -4.896_051_402_709_067e-2,
        7.031_914_250_029_966e-2, -8.931_826_777_381_314e-2, 1.108_826_162_873_516e-1, -1.428_400_379_473_353e-1,
        1.999_994_932_114_188_7e-1, -3.333_333_308_107_325e-1) * z * t + t
    let upper = arc.replacing(with: .pi / 2 - arc, where: isSteep)
    // -0 is on the left, too.
    let isLeft = Self(repeating: 1).withSign(of: x) .< 0
    return upper.replacing(with: .pi - upper, where: isLeft).withSign(of: self)
  }

  /// arctan x; error below 0.53 ulp.
  @inline(__always) var arctangent: Self { angle(Self(repeating: 1)) }

  /// arcsin x; error below 0.53 ulp.
  @inline(__always) var arcsine: Self { angle((1 - self * self).squareRoot()) }

  /// arccos x; error below 0.53 ulp.
  @inline(__always) var arccosine: Self { (1 - self * self).squareRoot().angle(self) }

  /// √(x² + y²); error below 0.51 ulp.
  @inline(__always) func distance(_ other: Self) -> Self {
    let isInfinite = (magnitude .== .infinity) .| (other.magnitude .== .infinity)
    return (self * self + other * other).squareRoot().replacing(with: .infinity, where: isInfinite)
  }
}
