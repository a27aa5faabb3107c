// The logarithm and what is made of it. Errors are of the float32 result.

extension SIMD8<Double> {
  /// ln x for positive numbers that are neither subnormal nor infinite, to 43 bits.
  @inline(__always) private var plainLogarithm: Self {
    // x = 2ⁿ m with m in √½…√2.
    let shifted = bits &- 0x3FE6_A09E_667F_3BCD
    let m = Self(bits: bits &- (shifted & 0xFFF0_0000_0000_0000))
    // The integer n + 1024 as the low bits of 2⁵² + n + 1024.
    let n = Self(bits: ((shifted &+ (1024 &<< 52)) &>> 52) | 0x4330_0000_0000_0000) - (0x1p52 + 1024)
    let s = (m - 1) / (m + 1)
    let z = s * s
    let q = z.polynomial(
      1.936_388_498_663_319_9e-1, 2.219_133_742_806_333e-1, 2.857_175_553_503_294_2e-1, 3.999_999_879_244_168_9e-1,
      6.666_666_666_737_868_6e-1)
    return n * 0.693_147_180_559_945_3 + (q * z * s + 2 * s)
  }

  /// ln x; error below 0.51 ulp.
  @inline(__always) var logarithm: Self {
    var result = plainLogarithm
    result.replace(with: -.infinity, where: self .== 0)
    result.replace(with: .nan, where: self .< 0)
    // Infinity and NaN give themselves.
    return result.replacing(with: self, where: .!(self .< .infinity))
  }

  /// log₂ x; error below 0.51 ulp.
  @inline(__always) var logarithmBase2: Self { logarithm * 1.442_695_040_888_963_4 }

  /// log₁₀ x; error below 0.51 ulp.
  @inline(__always) var logarithmBase10: Self { logarithm * 0.434_294_481_903_251_8 }

  /// ln(1 + x); error below 0.51 ulp.
  @inline(__always) var logarithmOnePlus: Self {
    let sum = self + 1
    // What rounding 1 + x lost, which counts where x is small.
    let lost = (self - (sum - 1)).replacing(with: 0, where: .!(self .< 1))
    // 0 keeps its sign.
    return (sum.logarithm + lost).replacing(with: self, where: self .== 0)
  }

  /// arsinh x; error below 0.51 ulp.
  @inline(__always) var inverseHyperbolicSine: Self {
    let x = magnitude
    let square = x * x
    return (x + square / (1 + (square + 1).squareRoot())).logarithmOnePlus.withSign(of: self)
      .replacing(with: self, where: .!(x .< .infinity))
  }

  /// arcosh x; error below 0.51 ulp.
  @inline(__always) var inverseHyperbolicCosine: Self {
    let excess = self - 1
    return (excess + (excess * (excess + 2)).squareRoot()).logarithmOnePlus.replacing(with: .nan, where: self .< 1)
  }

  /// artanh x; error below 0.51 ulp.
  @inline(__always) var inverseHyperbolicTangent: Self {
    let x = magnitude
    return (0.5 * (2 * x / (1 - x)).logarithmOnePlus).withSign(of: self)
  }

  /// x to the power y; error below 0.51 ulp.
  @inline(__always) func power(_ exponent: Self) -> Self {
    let (whole, integer) = exponent.roundedSmall()
    // float32 numbers from 2²⁴ are even integers.
    let isSmall = exponent.magnitude .< 0x1p24
    let isFraction = isSmall .& (whole .!= exponent)
    let odd = Self(bits: integer &<< 63).replacing(with: 0, where: .!isSmall .| isFraction)
    let result = (exponent * magnitude.logarithm).exponential.replacing(
      with: .nan, where: isFraction .& (self .< 0) .& (self .> -.infinity))
    let isOne = (exponent .== 0) .| (self .== 1) .| ((self .== -1) .& (exponent.magnitude .== .infinity))
    return Self(bits: result.bits | (bits & odd.bits)).replacing(with: 1, where: isOne)
  }
}
