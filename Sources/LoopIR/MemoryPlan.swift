import TensorCore

/// Where each temporary of a program lives in one arena, known before anything runs.
///
/// Temporaries that live at the same time never overlap, except that a kernel may write its result over an input that
/// dies in it, element by element.
public struct MemoryPlan: Hashable, Sendable {
  /// Every offset is a multiple of this many bytes.
  public static let alignment = 64

  /// The byte offset of each buffer in the arena, by buffer index; nil for externals and for temporaries nothing touches.
  public private(set) var offsets: [Int?]
  /// The size of the arena.
  public private(set) var byteCount = 0

  public init(_ program: LoopProgram) {
    offsets = Array(repeating: nil, count: program.buffers.count)
    var units = Lifetimes(program, roundingTo: Self.alignment).units
    units.sort { $0.byteCount != $1.byteCount ? $0.byteCount > $1.byteCount : $0.first < $1.first }
    // By descending offset range start, so that gaps are found in one walk.
    var placed: [(unit: Lifetimes.Unit, offset: Int)] = []
    for unit in units {
      var offset = 0
      for other in placed where other.unit.overlaps(unit) {
        if offset + unit.byteCount <= other.offset { break }
        offset = max(offset, other.offset + other.unit.byteCount)
      }
      let position = placed.firstIndex { $0.offset > offset } ?? placed.count
      placed.insert((unit, offset), at: position)
      for buffer in unit.buffers { offsets[buffer] = offset }
      byteCount = max(byteCount, offset + unit.byteCount)
    }
  }
}
