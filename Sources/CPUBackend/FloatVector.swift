// float32 vectors as bits, rounded, and widened to float64.

extension SIMD8<Float> {
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

  /// Whether the magnitude of any lane has at least these bits; NaN counts as large.
  @inline(__always) func hasMagnitude(bits: Int32) -> Bool {
    // Negative in every lane where the bits are those of a smaller number.
    let excess = magnitude.signedBits &- SIMD8<Int32>(repeating: bits)
    let pairs = excess.lowHalf & excess.highHalf
    return pairs[0] & pairs[1] & pairs[2] & pairs[3] >= 0
  }

  /// These results for the lanes of `argument` of smaller magnitude than these bits, and what a function of one number gives for
  /// the others: a result never depends on what other lanes hold.
  @inline(__always)
  func replacingLarge(_ argument: Self, fromBits bits: Int32, with function: (Double) -> Double) -> Self {
    guard argument.hasMagnitude(bits: bits) else { return self }
    var result = self
    for lane in 0..<Self.scalarCount where argument.magnitude.signedBits[lane] >= bits {
      result[lane] = Float(function(Double(argument[lane])))
    }
    return result
  }

  /// What a function of float64 gives, rounded once.
  @inline(__always) func widened(_ function: (WideVector) -> WideVector) -> Self { Self(function(WideVector(self))) }

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
