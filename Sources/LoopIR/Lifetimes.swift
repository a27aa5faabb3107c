import TensorCore

/// When each temporary is first and last touched; buffers that share a place form one unit.
///
/// Memory of the caller's may take part: what exists before the run, and what is looked at after it.
struct Lifetimes {
  struct Unit {
    /// In the order of their lives.
    var buffers: [Int]
    /// The position of a kernel; -1 before the first.
    var first: Int
    /// The position of a kernel; the greatest integer after all.
    var last: Int
    var byteCount: Int

    /// Whether some kernel needs the elements of both.
    func overlaps(_ other: Unit) -> Bool { first <= other.last && other.first <= last }
  }

  /// Those of `existing` come first, in that order.
  private(set) var units: [Unit] = []
  private let program: LoopProgram
  private let granularity: Int
  private var first: [Int]
  private var last: [Int]
  private var unitOf: [Int]

  /// - Parameters:
  ///   - granularity: Byte counts are rounded up to a multiple of it, at least one.
  ///   - existing: Externals that have their elements before the run, and that nobody looks at after their last use.
  ///   - lasting: Externals that have their elements from a kernel on, and are looked at after the run.
  init(_ program: LoopProgram, roundingTo granularity: Int, existing: [Int] = [], lasting: [Int] = []) {
    self.program = program
    self.granularity = granularity
    let count = program.buffers.count
    first = [Int](repeating: -1, count: count)
    last = first
    unitOf = first
    let lasting = Set(lasting)
    for (index, kernel) in program.kernels.enumerated() {
      kernel.forEachBuffer { buffer, _ in
        let buffer = buffer.index
        if first[buffer] < 0 { first[buffer] = index }
        last[buffer] = lasting.contains(buffer) ? .max : index
      }
    }
    for buffer in existing {
      first[buffer] = -1
      place(buffer, over: nil)
    }
    var takesPart = program.buffers.map { $0.role == .temporary }
    for buffer in lasting { takesPart[buffer] = true }
    for (index, kernel) in program.kernels.enumerated() {
      var taken: Set<Int> = []
      kernel.forEachBuffer { buffer, isWritten in
        let born = buffer.index
        guard takesPart[born], first[born] == index, unitOf[born] < 0 else { return }
        guard isWritten, case .loop(let loop) = kernel else { return place(born, over: nil) }
        let dying = loop.inputsReplaceable(by: buffer).first { input in
          last[input.index] == index && first[input.index] < index && !taken.contains(input.index)
            && unitOf[input.index] >= 0 && byteCount(input.index) == byteCount(born)
            && program.buffers[input.index].dtype.byteCount == program.buffers[born].dtype.byteCount
        }
        if let dying { taken.insert(dying.index) }
        place(born, over: dying?.index)
      }
    }
  }

  private func byteCount(_ buffer: Int) -> Int {
    let bytes = program.buffers[buffer].byteCount
    return max(1, (bytes + granularity - 1) / granularity) * granularity
  }

  private mutating func place(_ buffer: Int, over dying: Int?) {
    if let dying {
      unitOf[buffer] = unitOf[dying]
      units[unitOf[dying]].buffers.append(buffer)
      units[unitOf[dying]].last = last[buffer]
    } else {
      unitOf[buffer] = units.count
      units.append(Unit(buffers: [buffer], first: first[buffer], last: last[buffer], byteCount: byteCount(buffer)))
    }
  }
}

extension LoopKernel {
  /// Buffers of which every load reads, at each index, the very element that the only store to `output` writes.
  fileprivate func inputsReplaceable(by output: BufferID) -> [BufferID] {
    let own = stores.filter { $0.access.buffer == output }
    guard own.count == 1, own[0].extent == .full, own[0].mode == .assign, own[0].access.indirections.isEmpty,
      !loads.contains(where: { $0.buffer == output })
    else { return [] }
    let place = own[0].access
    func fits(_ load: Access) -> Bool {
      load.strides == place.strides && load.offset == place.offset && load.indirections.isEmpty
        && load.dtype.byteCount == place.dtype.byteCount
    }
    let used = loads.map(\.buffer).filter { input in
      loads.allSatisfy { $0.buffer != input || fits($0) } && !stores.contains { $0.access.buffer == input }
    }
    return used
  }
}
