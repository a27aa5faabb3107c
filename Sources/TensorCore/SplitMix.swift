/// A small sequential generator (Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, 2014), for choosing
/// test cases: what a program computes draws from a keyed `Generator`.
package struct SplitMix: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  /// A sequence of its own for each pair.
  package init(seed: UInt64, stream: UInt64) {
    var first = SplitMix(seed: seed)
    var second = SplitMix(seed: first.next() ^ stream)
    state = second.next()
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A number from 0 up to the bound; 0 where the bound is.
  package mutating func below(_ bound: Int) -> Int { bound > 0 ? Int(next() % UInt64(bound)) : 0 }

  /// True in so many of a hundred cases.
  package mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

  /// - Precondition: There is an element.
  package mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
}
