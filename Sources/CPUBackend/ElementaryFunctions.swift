import Foundation

// The elementary functions that float32 itself is good enough for, eight at a time: polynomials after range reduction, in
// plain multiplications and additions, for machines without fused ones are the baseline. Others go through `WideVector`.
// Stated errors are the largest over all numbers, in units in the last place, as `aot bench accuracy` measures them.

extension SIMD8<Float> {
  // Coefficients come highest power first. No array, no loop: the optimizer sees constants.
  @inline(__always) private func polynomial(_ a: Float, _ b: Float, _ c: Float) -> Self { (self * a + b) * self + c }

  @inline(__always) private func polynomial(_ a: Float, _ b: Float, _ c: Float, _ d: Float, _ e: Float) -> Self {
    (polynomial(a, b, c) * self + d) * self + e
  }

  @inline(__always)
  private func polynomial(_ a: Float, _ b: Float, _ c: Float, _ d: Float, _ e: Float, _ f: Float) -> Self {
    polynomial(a, b, c, d, e) * self + f
  }

  /// eˣ; error below 1 ulp.
  @inline(__always) var exponential: Self {
    let clamped = replacing(with: 89, where: self .> 89).replacing(with: -104, where: self .< -104)
    // x = n · ln 2 + r
    let (n, integer) = (clamped * 1.442_695_04).roundedSmall()
    let r = (clamped - n * 0.693_359_375) - n * -2.121_944_40e-4
    let p = r.polynomial(
      1.987_569_15e-4, 1.398_199_95e-3, 8.333_451_907_3e-3, 4.166_579_589_4e-2, 1.666_666_545_9e-1, 0.5)
    // In two steps, since 2ⁿ itself leaves the range where the result is subnormal or infinite.
    let half = integer &>> 1
    return (p * r * r + r + 1) * Self.powerOfTwo(half) * Self.powerOfTwo(integer &- half)
  }

  /// tanh x; error below 1.4 ulp.
  @inline(__always) var hyperbolicTangent: Self {
    let x = magnitude
    let z = x * x
    let small =
      z.polynomial(
        -5.704_988_727_45e-3, 2.063_908_879_54e-2, -5.373_971_555_31e-2, 1.333_144_229_46e-1, -3.333_328_194_22e-1)
      * z * x + x
    let bounded = x.replacing(with: 10, where: x .> 10)
    let large = 1 - 2 / ((bounded * 2).exponential + 1)
    return large.replacing(with: small, where: x .< 0.625).withSign(of: self)
  }

  /// The error function; error below 1.2 ulp. After N. Juffa's coefficients.
  @inline(__always) var errorFunction: Self {
    let t = magnitude
    let s = self * self
    let r = t * -1.728_534_70e-5 + 3.831_971_26e-4
    let u = t * -3.883_964_38e-3 + 2.425_462_19e-2
    let q = (((r * s + u) * t - 1.067_778_77e-1) * t - 6.348_466_87e-1) * t - 1.287_175_12e-1
    let bounded = (q * t - t).replacing(with: -20, where: t .> 4)
    let large = (1 - bounded.exponential).withSign(of: self)
    let p = s.polynomial(
      -5.967_617_03e-4, 4.991_194_23e-3, -2.676_813_49e-2, 1.128_199_25e-1, -3.761_253_36e-1, 1.283_791_66e-1)
    let result = large.replacing(with: p * self + self, where: t .<= 0.927_734_375)
    return result.replacing(with: self, where: self .!= self)
  }

  /// sin x, or cos x; error below 1.6 ulp.
  @inline(__always) func sine(isCosine: Bool) -> Self {
    let (reduced, quarters) = WideVector(magnitude).reducedAngle()
    let r = Self(reduced)
    let quadrant = SIMD8<Int32>(truncatingIfNeeded: quarters)
    let z = r * r
    let sine = z.polynomial(-1.951_529_589_1e-4, 8.332_160_873_6e-3, -1.666_665_461_1e-1) * z * r + r
    let cosine =
      z.polynomial(2.443_315_711_809_948e-5, -1.388_731_625_493_765e-3, 4.166_664_568_298_827e-2) * z * z - z * 0.5 + 1
    let q = isCosine ? quadrant &+ 1 : quadrant
    // All bits where the quadrant is odd.
    let isOdd = SIMD8<Int32>.zero &- (q & 1)
    let value = Self(signedBits: (cosine.signedBits & isOdd) | (sine.signedBits & ~isOdd))
    let flipped = Self(signedBits: value.signedBits ^ ((q & 2) &<< 30))
    let result = isCosine ? flipped : Self(bits: flipped.bits ^ (bits & 0x8000_0000))
    // Few numbers are so large: the library reduces them exactly.
    return result.replacingLarge(
      self, fromBits: WideVector.reducibleMagnitudeBits, with: isCosine ? Foundation.cos : Foundation.sin)
  }

  /// tan x; error below 0.51 ulp.
  @inline(__always) var tangent: Self {
    widened { $0.tangent }.replacingLarge(self, fromBits: WideVector.reducibleMagnitudeBits, with: Foundation.tan)
  }
}
