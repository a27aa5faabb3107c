// The exponential function and what is made of it. Errors are of the float32 result.

extension SIMD8<Double> {
  /// p and 2ⁿ, of which eˣ is 2ⁿ (p + 1): p = eʳ - 1 for the remainder r of x = n · ln 2 + r.
  @inline(__always) private func exponentialParts() -> (p: Self, scale: Self) {
    // Beyond these, every float32 result is 0 or infinite.
    let x = limited(to: -200...200)
    let (n, integer) = (x * 1.442_695_040_888_963_4).roundedSmall()
    let r = x - n * 0.693_147_180_559_945_3
    let q = r.polynomial(
      1.989_099_082_467_365_4e-4, 1.393_364_999_630_925e-3, 8.333_310_925_480_900_8e-3, 4.166_646_492_528_590_5e-2,
      1.666_666_668_162_322_8e-1, 5.000_000_013_465_809e-1)
    return (q * r * r + r, Self(bits: (integer &+ 1023) &<< 52))
  }

  /// eˣ; error below 0.51 ulp.
  @inline(__always) var exponential: Self {
    let (p, scale) = exponentialParts()
    return p * scale + scale
  }

  /// 2ˣ; error below 0.51 ulp.
  @inline(__always) var exponentialBase2: Self { (self * 0.693_147_180_559_945_3).exponential }

  /// eˣ - 1; error below 0.52 ulp.
  @inline(__always) var exponentialMinusOne: Self {
    let (p, scale) = exponentialParts()
    // 0 keeps its sign.
    return (p * scale + (scale - 1)).replacing(with: self, where: self .== 0)
  }

  /// 1 / (1 + e⁻ˣ); error below 0.51 ulp.
  @inline(__always) var logistic: Self { 1 / ((-self).exponential + 1) }

  /// sinh x; error below 0.51 ulp.
  @inline(__always) var hyperbolicSine: Self {
    let growth = magnitude.exponentialMinusOne
    return (0.5 * (growth + growth / (growth + 1))).withSign(of: self)
  }

  /// cosh x; error below 0.51 ulp.
  @inline(__always) var hyperbolicCosine: Self {
    let growth = exponential
    return 0.5 * (growth + 1 / growth)
  }
}
