import TensorCore

extension LoopProgram {
  /// Works in memory itself where a program works in a copy of it and copies that back, as a functional program does in the place
  /// of one that writes to parts of its inputs.
  mutating func elideCopies() {
    while elideCopyOfDying() {}
    while elideCopyBack() {}
  }

  /// Makes a temporary one with the temporary that it begins as a copy of, where that is not used any more.
  ///
  /// - Returns: Whether there was one.
  private mutating func elideCopyOfDying() -> Bool {
    let uses = BufferUses(self)
    for (position, kernel) in kernels.enumerated() {
      guard let copy = kernel.plainCopy, buffers[copy.source.index].role == .temporary,
        buffers[copy.destination.index].role == .temporary, isAlike(copy),
        uses.last(copy.source) == position, uses.firstWrite(copy.destination) == position
      else { continue }
      kernels.remove(at: position)
      rename(copy.destination, to: copy.source)
      return true
    }
    return false
  }

  /// Makes a temporary one with the external that it begins as a copy of and is copied back to.
  ///
  /// - Returns: Whether there was one.
  private mutating func elideCopyBack() -> Bool {
    let uses = BufferUses(self)
    for (end, kernel) in kernels.enumerated() {
      guard let back = kernel.plainCopy, case .external = buffers[back.destination.index].role,
        buffers[back.source.index].role == .temporary, isAlike(back), let start = uses.firstWrite(back.source),
        start < end, let copy = kernels[start].plainCopy, copy.isReverse(of: back),
        uses.writes(back.destination) == [end], uses.writes(back.source).allSatisfy({ $0 < end })
      else { continue }
      // What reads the memory as it was must have done so before the first change.
      let change = uses.writes(back.source).first { $0 > start } ?? end
      guard uses.reads(back.destination).allSatisfy({ $0 < change }) else { continue }
      kernels.remove(at: end)
      kernels.remove(at: start)
      rename(back.source, to: back.destination)
      return true
    }
    return false
  }

  private func isAlike(_ copy: PlainCopy) -> Bool {
    let (source, destination) = (buffers[copy.source.index], buffers[copy.destination.index])
    return source.dtype == destination.dtype && source.elementCount >= destination.elementCount
  }

  private mutating func rename(_ old: BufferID, to new: BufferID) {
    for index in kernels.indices { kernels[index].mapBuffers { $0 == old ? new : $0 } }
  }
}

/// A kernel that copies elements to the same places in another buffer.
private struct PlainCopy {
  let source: BufferID
  let destination: BufferID
  private let sizes: [Int]
  private let strides: [Int]
  private let offset: Int

  init?(_ kernel: LoopKernel) {
    guard kernel.reductions.isEmpty, kernel.loads.count == 1, kernel.stores.count == 1, let store = kernel.stores.first,
      store.mode == .assign, store.extent == .full,
      store.value == .load(0) || store.value == .cast(store.access.dtype, .load(0)),
      kernel.loads[0].dtype == store.access.dtype, kernel.loads[0].indirections.isEmpty,
      store.access.indirections.isEmpty, kernel.loads[0].strides == store.access.strides,
      kernel.loads[0].offset == store.access.offset, kernel.loads[0].buffer != store.access.buffer
    else { return nil }
    (source, destination) = (kernel.loads[0].buffer, store.access.buffer)
    (sizes, strides, offset) = (kernel.sizes, store.access.strides, store.access.offset)
  }

  func isReverse(of other: PlainCopy) -> Bool {
    source == other.destination && destination == other.source && sizes == other.sizes && strides == other.strides
      && offset == other.offset
  }
}

/// Where the kernels of a program read and write each buffer.
private struct BufferUses {
  private var readers: [BufferID: [Int]] = [:]
  private var writers: [BufferID: [Int]] = [:]

  init(_ program: LoopProgram) {
    for (position, kernel) in program.kernels.enumerated() {
      kernel.forEachBuffer { buffer, isWritten in
        if isWritten {
          writers[buffer, default: []].append(position)
        } else {
          readers[buffer, default: []].append(position)
        }
      }
    }
  }

  func reads(_ buffer: BufferID) -> [Int] { readers[buffer] ?? [] }
  func writes(_ buffer: BufferID) -> [Int] { writers[buffer] ?? [] }
  func firstWrite(_ buffer: BufferID) -> Int? { writes(buffer).first }
  func last(_ buffer: BufferID) -> Int { max(reads(buffer).last ?? -1, writes(buffer).last ?? -1) }
}

extension Kernel {
  fileprivate var plainCopy: PlainCopy? { if case .loop(let kernel) = self { PlainCopy(kernel) } else { nil } }
}
