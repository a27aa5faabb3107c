import Foundation
import TensorCore

/// Random numbers in a sequence, from the keyed generator: the same seed gives the same numbers on every machine.
struct SeededRandom: RandomNumberGenerator {
  let seed: Int
  /// How many numbers have been given.
  private(set) var position: Int

  init(seed: Int, position: Int = 0) { (self.seed, self.position) = (seed, position) }

  mutating func next() -> UInt64 {
    let block = Philox(key: UInt64(truncatingIfNeeded: seed)).block(UInt64(truncatingIfNeeded: position))
    position &+= 1
    return UInt64(block[0]) | UInt64(block[1]) << 32
  }

  /// Uniform in 0..<1.
  mutating func uniform() -> Float { Float(next() >> 40) / 16_777_216 }

  /// Normal with mean 0 and deviation 1, by the method of Box and Muller.
  mutating func normal() -> Float {
    let radius = (-2 * log(1 - Double(uniform()))).squareRoot()
    return Float(radius * cos(2 * .pi * Double(uniform())))
  }

  /// The numbers 0..<count in a random order, by the method of Fisher and Yates.
  mutating func permutation(_ count: Int) -> [Int] {
    var order = Array(0..<count)
    for last in order.indices.dropFirst().reversed() {
      order.swapAt(last, Int(next() % UInt64(last + 1)))
    }
    return order
  }
}
