import Foundation

// float32 elementary functions, eight at a time: polynomials after range reduction, in plain multiplications and
// additions, for machines without fused ones are the baseline. Stated errors are the largest measured, in units in the last place.

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

  @inline(__always)
  private func polynomial(
    _ a: Float, _ b: Float, _ c: Float, _ d: Float, _ e: Float, _ f: Float, _ g: Float, _ h: Float, _ i: Float
  ) -> Self {
    ((polynomial(a, b, c, d, e, f) * self + g) * self + h) * self + i
  }

  @inline(__always) var magnitude: Self {
    Self(bits: bits & 0x7FFF_FFFF)
  }

  @inline(__always) var bits: SIMD8<UInt32> { unsafeBitCast(self, to: SIMD8<UInt32>.self) }
  @inline(__always) var signedBits: SIMD8<Int32> { unsafeBitCast(self, to: SIMD8<Int32>.self) }

  @inline(__always) init(bits: SIMD8<UInt32>) { self = unsafeBitCast(bits, to: Self.self) }
  @inline(__always) init(signedBits: SIMD8<Int32>) { self = unsafeBitCast(signedBits, to: Self.self) }

  /// The magnitude of this number with the sign of another.
  @inline(__always) func withSign(of other: Self) -> Self {
    Self(bits: (bits & 0x7FFF_FFFF) | (other.bits & 0x8000_0000))
  }

  /// To nearest, ties to even, for magnitudes below 2²²; also gives the integer.
  @inline(__always) func roundedSmall() -> (value: Self, integer: SIMD8<Int32>) {
    let magic: Float = 12_582_912  // 1.5 · 2²³: adding it leaves the integer in the low bits.
    let shifted = self + magic
    return (shifted - magic, shifted.signedBits &- SIMD8<Int32>(repeating: 0x4B40_0000))
  }

  /// 2ⁿ for n in -126…127.
  @inline(__always) static func powerOfTwo(_ n: SIMD8<Int32>) -> Self {
    Self(signedBits: (n &+ 127) &<< 23)
  }

  /// eʳ - 1 for the remainder r of x = n · ln 2 + r, and n.
  @inline(__always) private func reducedExponential() -> (Self, SIMD8<Int32>) {
    let (n, integer) = (self * 1.442_695_04).roundedSmall()
    let r = (self - n * 0.693_359_375) - n * -2.121_944_40e-4
    let p = r.polynomial(
      1.987_569_15e-4, 1.398_199_95e-3, 8.333_451_907_3e-3, 4.166_579_589_4e-2, 1.666_666_545_9e-1, 0.5)
    return (p * r * r + r, integer)
  }

  /// eˣ; error below 1.1 ulp.
  @inline(__always) var exponential: Self {
    let clamped = replacing(with: 89, where: self .> 89).replacing(with: -104, where: self .< -104)
    let (p, n) = clamped.reducedExponential()
    // In two steps, since 2ⁿ itself leaves the range where the result is subnormal or infinite.
    let half = n &>> 1
    return (p + 1) * Self.powerOfTwo(half) * Self.powerOfTwo(n &- half)
  }

  /// eˣ - 1; error below 2 ulp.
  @inline(__always) var exponentialMinusOne: Self {
    let clamped = replacing(with: 89, where: self .> 89).replacing(with: -20, where: self .< -20)
    let (p, n) = clamped.reducedExponential()
    let scale = Self.powerOfTwo(n &- 1)
    return ((p * scale + (scale - 0.5)) * 2).replacing(with: self, where: magnitude .< 1e-7)
  }

  /// ln x; error below 1 ulp.
  @inline(__always) var logarithm: Self {
    let isSubnormal = self .< 0x1p-126
    let x = replacing(with: self * 8_388_608, where: isSubnormal)
    let raw = x.signedBits
    // Exponent and mantissa with the mantissa in √½…√2.
    let shifted = raw &- SIMD8<Int32>(repeating: 0x3F35_04F3)
    let exponent = shifted &>> 23
    let f = Self(signedBits: raw &- (exponent &<< 23)) - 1
    let e = Self(exponent) - Self.zero.replacing(with: 23, where: isSubnormal)
    let z = f * f
    let p = f.polynomial(
      7.037_683_629_2e-2, -1.151_461_031_0e-1, 1.167_699_874_0e-1, -1.242_014_084_6e-1, 1.424_932_278_7e-1,
      -1.666_805_766_5e-1, 2.000_071_476_5e-1, -2.499_999_399_3e-1, 3.333_333_117_4e-1)
    let tail = f * z * p + e * -2.121_944_40e-4 - z * 0.5
    var result = e * 0.693_359_375 + (f + tail)
    result.replace(with: -.infinity, where: self .== 0)
    result.replace(with: .nan, where: self .< 0)
    // Infinity and NaN give themselves.
    return result.replacing(with: self, where: .!(self .< .infinity))
  }

  /// ln(1 + x); error below 2 ulp.
  @inline(__always) var logarithmOnePlus: Self {
    let u = self + 1
    // What rounding 1 + x lost, to first order.
    let correction = (self - (u - 1)) / u
    let result = u.logarithm
    let corrected = result.replacing(with: result + correction, where: (u .> 0) .& (u .< .infinity))
    return corrected.replacing(with: self, where: magnitude .< 1e-8)
  }

  /// tanh x; error below 2 ulp.
  @inline(__always) var hyperbolicTangent: Self {
    let x = magnitude
    let z = x * x
    let small =
      z.polynomial(
        -5.704_988_727_45e-3, 2.063_908_879_54e-2, -5.373_971_555_31e-2, 1.333_144_229_46e-1, -3.333_328_194_22e-1)
      * z * self + self
    let bounded = x.replacing(with: 10, where: x .> 10)
    let large = (1 - 2 / ((bounded * 2).exponential + 1)).withSign(of: self)
    return large.replacing(with: small, where: x .< 0.625)
  }

  /// The error function; error below 1.5 ulp. After N. Juffa's coefficients.
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

  /// sin x, or cos x; error below 2 ulp.
  @inline(__always) func sine(isCosine: Bool) -> Self {
    let x = magnitude
    // Negative in every lane where the bits are those of a smaller number; NaN counts as large.
    let excess = x.signedBits &- SIMD8<Int32>(repeating: 0x4600_0000)
    let pairs = excess.lowHalf & excess.highHalf
    if pairs[0] & pairs[1] & pairs[2] & pairs[3] >= 0 {
      // Few numbers are this large: the library reduces them exactly.
      var result = self
      for lane in 0..<8 { result[lane] = isCosine ? Foundation.cos(self[lane]) : Foundation.sin(self[lane]) }
      return result
    }
    let (n, quadrant) = (x * 0.636_619_772).roundedSmall()
    // π/2 in four parts, each short enough that its product with n is exact.
    var r = x - n * 1.570_312_5
    r = r - n * 4.837_512_969_970_703e-4
    r = r - n * 7.549_789_948_768_648e-8
    let z = r * r
    let sine = z.polynomial(-1.951_529_589_1e-4, 8.332_160_873_6e-3, -1.666_665_461_1e-1) * z * r + r
    let cosine =
      z.polynomial(2.443_315_711_809_948e-5, -1.388_731_625_493_765e-3, 4.166_664_568_298_827e-2) * z * z - z * 0.5 + 1
    let q = isCosine ? quadrant &+ 1 : quadrant
    // All bits where the quadrant is odd.
    let isOdd = SIMD8<Int32>.zero &- (q & 1)
    let value = Self(signedBits: (cosine.signedBits & isOdd) | (sine.signedBits & ~isOdd))
    let flipped = Self(signedBits: value.signedBits ^ ((q & 2) &<< 30))
    return isCosine ? flipped : Self(bits: flipped.bits ^ (bits & 0x8000_0000))
  }

  /// The integer below, above, nearest (ties to even), or toward zero.
  @inline(__always) func roundedToInteger(_ rule: FloatingPointRoundingRule) -> Self {
    let x = magnitude
    let nearest = (x + 8_388_608) - 8_388_608
    var result = nearest.withSign(of: self)
    switch rule {
    case .down: result = result.replacing(with: result - 1, where: result .> self)
    case .up: result = result.replacing(with: result + 1, where: result .< self)
    case .towardZero: result = nearest.replacing(with: nearest - 1, where: nearest .> x)
    default: break
    }
    return result.withSign(of: self).replacing(with: self, where: .!(x .< 8_388_608))
  }
}
