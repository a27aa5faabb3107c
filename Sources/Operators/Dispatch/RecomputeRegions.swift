import GraphIR

/// The nested regions of a thread's program that say what the backward pass may compute again.
package struct RecomputeRegions {
  private var open: [Region] = []
  private var count = 0

  package struct Region {
    package let tag: RecomputeTag
    /// Counts the outermost regions; those inside belong to the region around them.
    package let number: Int
  }

  package init() {}

  /// What the calls that are made now are tagged with; nil outside of every region.
  package var current: Region? { open.last }

  /// Opens a region inside those that are open.
  package mutating func push(_ tag: RecomputeTag) {
    if open.isEmpty { count += 1 }
    open.append(Region(tag: tag, number: count))
  }

  /// Closes the innermost region.
  package mutating func pop() { _ = open.popLast() }
}
