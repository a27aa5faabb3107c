/// A set of parameter or result positions, in one word.
///
/// - Precondition: Positions are below 64.
package struct PositionSet: Hashable, Sendable {
  private var bits: UInt64 = 0

  package init() {}

  package init(_ positions: some Sequence<Int>) { for position in positions { insert(position) } }

  package var isEmpty: Bool { bits == 0 }
  package func contains(_ position: Int) -> Bool { bits & (1 << UInt64(position)) != 0 }
  package mutating func insert(_ position: Int) { bits |= 1 << UInt64(position) }
  package mutating func formUnion(_ other: PositionSet) { bits |= other.bits }
  package func isDisjoint(with other: PositionSet) -> Bool { bits & other.bits == 0 }

  package var positions: Set<Int> {
    var result: Set<Int> = []
    var rest = bits
    while rest != 0 {
      result.insert(rest.trailingZeroBitCount)
      rest &= rest - 1
    }
    return result
  }
}
