import LoopIR

// What each instruction does to registers, by type.

@inline(__always)
func flags(_ mask: SIMDMask<SIMD8<Int32>>) -> Int32Vector {
  Int32Vector.zero.replacing(with: Int32Vector(repeating: 1), where: mask)
}

@inline(__always)
func flags(_ mask: SIMDMask<SIMD4<Int64>>) -> SIMD4<Int32> {
  SIMD4<Int32>(truncatingIfNeeded: Int64Vector.zero.replacing(with: Int64Vector(repeating: 1), where: mask))
}

enum TileArithmetic {
  typealias Register = UnsafeMutableRawPointer

  static func select(
    _ type: RegisterType, _ t: Register, _ condition: Register, _ a: Register, _ b: Register, _ count: Int
  ) {
    // A condition is 0 or 1: its negative is a mask.
    switch type {
    case .float32, .int32:
      mapVectors(t, condition, a, b, count) { (condition: Int32Vector, x: Int32Vector, y: Int32Vector) in
        let mask = Int32Vector.zero &- condition
        return (x & mask) | (y & ~mask)
      }
    case .float64, .int64:
      mapVectors(t, condition, a, b, count) { (condition: SIMD4<Int32>, x: Int64Vector, y: Int64Vector) in
        let mask = Int64Vector.zero &- Int64Vector(truncatingIfNeeded: condition)
        return (x & mask) | (y & ~mask)
      }
    }
  }
}
