import TensorCore

extension LoopProgram {
  /// Puts pointwise kernels that write one temporary into all kernels that read it, where that costs less than memory does.
  ///
  /// A kernel that only copies goes into matrix products too: they take any strides.
  mutating func inlineProducers() {
    var table = KernelTable(self)
    for index in kernels.indices {
      guard case .loop(let producer) = kernels[index], let candidate = candidate(producer, index, table) else {
        continue
      }
      var replaced: [(Int, Kernel)] = []
      for consumer in candidate.consumers {
        guard let kernel = inlining(producer, into: kernels[consumer], candidate) else { break }
        replaced.append((consumer, kernel))
      }
      guard replaced.count == candidate.consumers.count else { continue }
      for (consumer, kernel) in replaced {
        kernels[consumer] = kernel
        table.update(consumer, kernel)
      }
      table.update(index, nil)
      kernels[index] = .loop(LoopKernel(outerSizes: [], loads: [], stores: []))
    }
    kernels.removeAll { if case .loop(let kernel) = $0 { kernel.stores.isEmpty } else { false } }
  }

  private struct Candidate {
    var store: LoopKernel.Store
    var consumers: [Int]
    /// The access that the stored elements are a plain copy of.
    var copied: LoopKernel.Access?
    var cost: Int
    var loadCount: Int
  }

  private func candidate(_ kernel: LoopKernel, _ index: Int, _ table: KernelTable) -> Candidate? {
    guard kernel.isPointwise, kernel.stores.count == 1, let store = kernel.stores.first, store.mode == .assign,
      store.access.indirections.isEmpty, store.access.dtype == buffers[store.access.buffer.index].dtype,
      buffers[store.access.buffer.index].role == .temporary, table.writers[store.access.buffer.index] == [index],
      kernel.walk(store).isInjective, !kernel.loads.contains(where: { $0.buffer == store.access.buffer })
    else { return nil }
    let consumers = table.readers[store.access.buffer.index]
    guard let last = consumers.last, consumers[0] > index else { return nil }
    // What the producer reads must still be there where its consumers run.
    for load in kernel.loads {
      for writer in table.writers[load.buffer.index] where writer > index && writer < last { return nil }
    }
    let cost = kernel.locals.reduce(store.value.cost) { $0 + $1.cost }
    let loadCount = kernel.loads.reduce(0) { count, load in
      // Few elements stay in the cache.
      let distinct = zip(kernel.outerSizes, load.strides).reduce(1) { $1.1 == 0 ? $0 : $0 * $1.0 }
      return distinct * 8 <= kernel.outerCount ? count : count + 1
    }
    return Candidate(
      store: store, consumers: consumers, copied: copiedAccess(kernel, store), cost: cost, loadCount: loadCount)
  }

  private func copiedAccess(_ kernel: LoopKernel, _ store: LoopKernel.Store) -> LoopKernel.Access? {
    var value = store.value
    while case .cast(store.access.dtype, let inner) = value { value = inner }
    guard case .load(let index) = value, kernel.loads[index].dtype == store.access.dtype,
      kernel.loads[index].indirections.isEmpty
    else { return nil }
    return kernel.loads[index]
  }

  private func inlining(_ producer: LoopKernel, into kernel: Kernel, _ candidate: Candidate) -> Kernel? {
    switch kernel {
    case .host: return nil
    case .matmul(var matmul):
      guard let copied = candidate.copied, matmul.result.buffer != copied.buffer else { return nil }
      let written = producer.walk(candidate.store)
      for path in [\MatmulKernel.left, \MatmulKernel.right]
      where matmul[keyPath: path].buffer == candidate.store.access.buffer {
        let operand = matmul[keyPath: path]
        let read = BufferWalk(sizes: operand.sizes, strides: operand.strides, offset: operand.offset)
        guard !read.sizes.contains(0), case .map(let map) = IndexMap.solve(read, written) else { return nil }
        var source = copied
        source.reindex(by: map)
        matmul[keyPath: path] = Operand(
          buffer: source.buffer, dtype: source.dtype, sizes: operand.sizes, strides: source.strides,
          offset: source.offset)
      }
      return .matmul(matmul)
    case .loop(let consumer):
      guard pays(producer, in: consumer, candidate) else { return nil }
      return inlining(producer, into: consumer, candidate).map { .loop($0) }
    }
  }

  private func pays(_ producer: LoopKernel, in consumer: LoopKernel, _ candidate: Candidate) -> Bool {
    let repeats = consumer.sizes.reduce(1, *) > producer.outerCount
    if repeats, candidate.cost > 2 || candidate.loadCount > 1 { return false }
    let readers = candidate.consumers.count
    if readers == 1 { return true }
    // Each reader loads what the producer loads, instead of one more element being written and read by all.
    return candidate.cost <= 8 && readers * candidate.loadCount <= 1 + readers + candidate.loadCount
  }

  private func inlining(
    _ producer: LoopKernel, into consumer: LoopKernel, _ candidate: Candidate
  ) -> LoopKernel? {
    var consumer = consumer
    let buffer = candidate.store.access.buffer
    let written = producer.walk(candidate.store)
    while let number = consumer.loads.firstIndex(where: { $0.buffer == buffer }) {
      let load = consumer.loads[number]
      guard load.indirections.isEmpty, load.dtype == candidate.store.access.dtype,
        !consumer.sizes.contains(0)
      else { return nil }
      switch IndexMap.solve(consumer.walk(load), written) {
      case .none: return nil
      case .split(let dimension, let inner): consumer = consumer.splitting(dimension, inner: inner)
      case .map(let map):
        let moved = producer.reindexed(by: map)
        // Nothing refers to the old load any more; pruning takes it away.
        consumer = consumer.inlining(moved, storing: moved.stores[0].value, at: number).pruned()
      }
    }
    guard consumer.loads.count <= FusionLimit.loads, consumer.locals.count <= FusionLimit.locals,
      consumer.readsOnlyWhatItWrites
    else { return nil }
    return consumer
  }
}

/// Which kernels read and write each buffer, in order.
struct KernelTable {
  private(set) var readers: [[Int]]
  private(set) var writers: [[Int]]
  private var touched: [[Int]]

  init(_ program: LoopProgram) {
    readers = Array(repeating: [], count: program.buffers.count)
    writers = readers
    touched = Array(repeating: [], count: program.kernels.count)
    for (index, kernel) in program.kernels.enumerated() { add(index, kernel) }
  }

  /// Notes that the kernel at a place is another one now.
  mutating func update(_ index: Int, _ kernel: Kernel?) {
    for buffer in touched[index] {
      readers[buffer].removeAll { $0 == index }
      writers[buffer].removeAll { $0 == index }
    }
    touched[index] = []
    if let kernel { add(index, kernel) }
  }

  private mutating func add(_ index: Int, _ kernel: Kernel) {
    kernel.forEachBuffer { buffer, isWritten in
      touched[index].append(buffer.index)
      func insert(_ list: inout [Int]) {
        let place = list.firstIndex { $0 >= index } ?? list.count
        if place == list.count || list[place] != index { list.insert(index, at: place) }
      }
      if isWritten { insert(&writers[buffer.index]) } else { insert(&readers[buffer.index]) }
    }
    if case .matmul(let matmul) = kernel, matmul.beta != 0 {
      let buffer = matmul.result.buffer.index
      if !readers[buffer].contains(index) {
        readers[buffer].append(index)
        readers[buffer].sort()
      }
    }
  }
}
