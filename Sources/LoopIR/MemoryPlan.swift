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
    let lifetimes = Lifetimes(program)
    var units = lifetimes.units
    units.sort { $0.byteCount != $1.byteCount ? $0.byteCount > $1.byteCount : $0.first < $1.first }
    // By descending offset range start, so that gaps are found in one walk.
    var placed: [(unit: Lifetimes.Unit, offset: Int)] = []
    for unit in units {
      var offset = 0
      for other in placed where other.unit.first <= unit.last && unit.first <= other.unit.last {
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

/// When each temporary is first and last touched; temporaries that share a place form one unit.
private struct Lifetimes {
  struct Unit {
    var buffers: [Int]
    var first: Int
    var last: Int
    var byteCount: Int
  }

  private(set) var units: [Unit] = []

  init(_ program: LoopProgram) {
    let count = program.buffers.count
    var first = [Int](repeating: -1, count: count)
    var last = [Int](repeating: -1, count: count)
    for (index, kernel) in program.kernels.enumerated() {
      kernel.forEachBuffer { buffer, _ in
        guard program.buffers[buffer.index].role == .temporary else { return }
        if first[buffer.index] < 0 { first[buffer.index] = index }
        last[buffer.index] = index
      }
    }
    var unitOf = [Int](repeating: -1, count: count)
    let byteCount = { (buffer: Int) in
      let bytes = program.buffers[buffer].elementCount * program.buffers[buffer].dtype.byteCount
      return max(1, (bytes + MemoryPlan.alignment - 1) / MemoryPlan.alignment) * MemoryPlan.alignment
    }
    func place(_ buffer: Int, over dying: Int?) {
      if let dying {
        unitOf[buffer] = unitOf[dying]
        units[unitOf[dying]].buffers.append(buffer)
        units[unitOf[dying]].last = last[buffer]
      } else {
        unitOf[buffer] = units.count
        units.append(
          Unit(buffers: [buffer], first: first[buffer], last: last[buffer], byteCount: byteCount(buffer)))
      }
    }
    for (index, kernel) in program.kernels.enumerated() {
      var taken: Set<Int> = []
      kernel.forEachBuffer { buffer, isWritten in
        let born = buffer.index
        guard first[born] == index, unitOf[born] < 0 else { return }
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

extension Kernel {
  /// Calls `body` with each buffer the kernel touches, reads first; a buffer may come several times.
  public func forEachBuffer(_ body: (_ buffer: BufferID, _ isWritten: Bool) -> Void) {
    switch self {
    case .loop(let kernel):
      for load in kernel.loads { body(load.buffer, false) }
      for store in kernel.stores { body(store.access.buffer, true) }
    case .matmul(let kernel):
      body(kernel.left.buffer, false)
      body(kernel.right.buffer, false)
      body(kernel.result.buffer, true)
    case .host(let kernel):
      for input in kernel.inputs { body(input.buffer, false) }
      for output in kernel.outputs { body(output.buffer, true) }
    }
  }
}
