// The complementary error function and what is made of it. Errors are of the float32 result.

extension SIMD8<Double> {
  /// 1 - erf(x); error below 0.52 ulp.
  @inline(__always) var complementaryErrorFunction: Self {
    // From 11, every float32 result is 0.
    let x = magnitude.limited(to: 0...11)
    // exp(x²) (1 + 2x) erfc(x) is a polynomial in (x - 3) / (x + 3); one division gives both quotients.
    let (lift, width) = (x * 2 + 1, x + 3)
    let reciprocal = 1 / (lift * width)
    let scaled = ((x - 3) * (reciprocal * lift)).polynomial(
      3.953_579_383_448_354e-5, -1.715_907_409_977_236_7e-4, -7.346_174_280_818_464e-4, 1.945_590_808_043_623_5e-3,
      2.524_204_826_640_335_5e-3, -2.378_762_484_702_218e-2, 6.830_722_749_452_238e-2, -1.192_714_923_937_489_7e-1,
      1.296_453_070_507_852_2e-1, -4.756_239_520_042_546e-2, -1.356_211_101_949_840_1e-1, 1.253_008_059_051_888_8)
    let tail = (x * -x).exponential * scaled * (reciprocal * width)
    return tail.replacing(with: 2 - tail, where: self .< 0)
  }

  /// Φ(x), the standard normal distribution function; error below 0.52 ulp.
  @inline(__always) var normalDistribution: Self {
    0.5 * (self * -0.707_106_781_186_547_5).complementaryErrorFunction
  }
}
