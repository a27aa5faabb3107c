import TensorCore

extension LoopProgram {
  /// Puts temporaries and results into memory of the caller's whose elements are not needed any more.
  ///
  /// It goes by what is left in memory, so fuse the program first.
  ///
  /// - Parameters:
  ///   - donated: Positions of externals that nobody looks at after the run, and whose memory is as large as their buffers
  ///     and shared with no other external.
  ///   - results: Positions of externals that are new memory, as large as their buffers.
  /// - Returns: By position, the results that lie in donated memory from now on, and in which. The program does not touch
  ///   memory of their own.
  public mutating func reuseMemory(of donated: [Int], for results: [Int]) -> [Int: Int] {
    let existing = nonemptyExternals(donated)
    if existing.isEmpty { return [:] }
    let lasting = nonemptyExternals(results)
    let lifetimes = Lifetimes(self, roundingTo: 1, existing: existing.map(\.buffer), lasting: lasting.map(\.buffer))
    // Who lives in each donated buffer. What could be written in place is there already.
    var occupants = lifetimes.units.prefix(existing.count).map { [$0] }
    for unit in lifetimes.units.dropFirst(existing.count).sorted(by: Lifetimes.Unit.isPlacedBefore) {
      let fitting = occupants.indices.filter { place in
        let byteCount = occupants[place][0].byteCount
        return (unit.outlivesRun ? unit.byteCount == byteCount : unit.byteCount <= byteCount)
          && !occupants[place].contains { $0.overlaps(unit) }
      }
      // Larger places stay free for what needs them.
      guard let place = fitting.min(by: { occupants[$0][0].byteCount < occupants[$1][0].byteCount }) else { continue }
      occupants[place].append(unit)
    }

    var homes: [Int: Int] = [:]
    for (index, units) in occupants.enumerated() {
      for buffer in units.flatMap(\.buffers) { homes[buffer] = index }
    }
    for index in kernels.indices {
      kernels[index].mapBuffers { buffer in homes[buffer.index].map { BufferID(existing[$0].buffer) } ?? buffer }
    }
    return Dictionary(
      uniqueKeysWithValues: lasting.compactMap { result in
        homes[result.buffer].map { (result.position, existing[$0].position) }
      })
  }

  private func nonemptyExternals(_ positions: [Int]) -> [(position: Int, buffer: Int)] {
    let positions = Set(positions)
    return buffers.indices.compactMap { index in
      guard case .external(let position) = buffers[index].role, positions.contains(position),
        buffers[index].byteCount > 0
      else { return nil }
      return (position, index)
    }
  }
}

extension Lifetimes.Unit {
  /// Whether a result is among its buffers.
  fileprivate var outlivesRun: Bool { last == .max }

  /// The largest first, which fit into the fewest places; of two of a size results, which would have to be allocated anew.
  fileprivate static func isPlacedBefore(_ a: Self, _ b: Self) -> Bool {
    if a.byteCount != b.byteCount { return a.byteCount > b.byteCount }
    return a.outlivesRun != b.outlivesRun ? a.outlivesRun : a.first < b.first
  }
}
