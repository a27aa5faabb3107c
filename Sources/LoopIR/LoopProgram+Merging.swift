import TensorCore

extension LoopProgram {
  /// Makes kernels over one iteration space into one, where one reads what the other writes or both read the same.
  ///
  /// Each kernel in turn looks back for one to join. It may move up to it, or the other down to it, past kernels that
  /// neither reads from nor writes to what they touch.
  mutating func mergeKernels() {
    var merger = KernelMerger()
    for kernel in kernels { merger.append(kernel) }
    kernels = merger.kernels
  }
}

private struct KernelMerger {
  private struct Entry {
    var kernel: Kernel
    var reads: Set<BufferID> = []
    var writes: Set<BufferID> = []

    init(_ kernel: Kernel) {
      self.kernel = kernel
      kernel.forEachBuffer { buffer, isWritten in
        if isWritten { writes.insert(buffer) } else { reads.insert(buffer) }
      }
    }

    func conflicts(with other: Entry) -> Bool {
      !writes.isDisjoint(with: other.writes) || !writes.isDisjoint(with: other.reads)
        || !reads.isDisjoint(with: other.writes)
    }

    var loop: LoopKernel? { if case .loop(let kernel) = kernel { kernel } else { nil } }
  }

  /// How far back a kernel looks.
  private static let window = 48

  private var entries: [Entry] = []

  var kernels: [Kernel] { entries.map(\.kernel) }

  mutating func append(_ kernel: Kernel) { place(Entry(kernel)) }

  /// Puts a kernel at the end, or into one of those before it.
  private mutating func place(_ entry: Entry) {
    guard let later = entry.loop else { return entries.append(entry) }
    var movesUp = true
    for index in entries.indices.suffix(Self.window).reversed() {
      let other = entries[index]
      if let earlier = other.loop, isRelated(other, entry) {
        let between = entries[(index + 1)...]
        let movesDown = !between.contains { $0.conflicts(with: other) }
        if movesUp || movesDown, let merged = KernelAlignment(earlier, later).merged() {
          let result = Entry(.loop(merged))
          if movesUp {
            let tail = Array(between)
            entries.removeSubrange(index...)
            place(result)
            entries += tail
          } else {
            entries.remove(at: index)
            place(result)
          }
          return
        }
      }
      if other.conflicts(with: entry) { movesUp = false }
    }
    entries.append(entry)
  }

  private func isRelated(_ earlier: Entry, _ later: Entry) -> Bool {
    !earlier.writes.isDisjoint(with: later.reads) || !earlier.reads.isDisjoint(with: later.reads)
  }
}
