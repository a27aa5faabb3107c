import TensorCore

extension LoopProgram {
  /// Checks every rule of the loop language that can be checked before running: names in range, a stride per dimension,
  /// each access inside its buffer, each temporary written before it is read.
  ///
  /// - Throws: `LoopError` with code `invalidProgram`, naming the kernel.
  public func validate() throws(LoopError) {
    var written = [Bool](repeating: false, count: buffers.count)
    for (index, buffer) in buffers.enumerated() {
      if case .external = buffer.role { written[index] = true }
    }
    for (index, kernel) in kernels.enumerated() {
      do {
        switch kernel {
        case .loop(let kernel): try validate(kernel, &written)
        case .matmul(let kernel): try validate(kernel, &written)
        case .host(let kernel):
          for input in kernel.inputs { try check(input, "input", isRead: true, &written) }
          for output in kernel.outputs { try check(output, "output", isRead: false, &written) }
        }
      } catch {
        throw LoopError(.invalidProgram, "k\(index): \(error.message), in \(kernel)")
      }
    }
  }

  private func validate(_ kernel: LoopKernel, _ written: inout [Bool]) throws(LoopError) {
    let rank = kernel.sizes.count
    guard kernel.sizes.allSatisfy({ $0 >= 0 }) else { throw LoopError(.invalidProgram, "a size is negative") }
    for (number, load) in kernel.loads.enumerated() {
      try check(load, kernel.sizes, "load \(number)")
      if !kernel.sizes.contains(0), !written[load.buffer.index] {
        throw LoopError(.invalidProgram, "load \(number) reads b\(load.buffer.index) before anything writes it")
      }
      for indirection in load.indirections {
        try check(indirection.index, kernel, loads: number, locals: kernel.locals.count, reductions: 0, rank)
      }
    }
    for (number, local) in kernel.locals.enumerated() {
      try check(
        local, kernel, loads: kernel.loads.count, locals: number, reductions: kernel.reductions.count, rank)
    }
    for (number, reduction) in kernel.reductions.enumerated() {
      try check(
        reduction.value, kernel, loads: kernel.loads.count, locals: kernel.locals.count, reductions: number, rank)
    }
    for store in kernel.stores {
      let sizes = store.extent == .outer ? kernel.outerSizes : kernel.sizes
      try check(store.access, sizes, "store")
      for value in [store.value] + store.access.indirections.map(\.index) {
        try check(
          value, kernel, loads: kernel.loads.count, locals: kernel.locals.count,
          reductions: kernel.reductions.count, rank)
      }
      if store.mode != .assign, !sizes.contains(0), !written[store.access.buffer.index] {
        throw LoopError(
          .invalidProgram, "a store changes b\(store.access.buffer.index) before anything writes it")
      }
      written[store.access.buffer.index] = true
    }
  }

  private func check(_ access: LoopKernel.Access, _ sizes: [Int], _ what: String) throws(LoopError) {
    guard access.strides.count == sizes.count else {
      throw LoopError(.invalidProgram, "\(what) has \(access.strides.count) strides for \(sizes.count) dimensions")
    }
    var low = access.offset
    var high = access.offset
    for indirection in access.indirections {
      let reach = (indirection.size - 1) * indirection.stride
      low += min(reach, 0)
      high += max(reach, 0)
    }
    try check(access.buffer, access.dtype, sizes, access.strides, low, high, what)
  }

  private func check(
    _ operand: Operand, _ what: String, isRead: Bool, _ written: inout [Bool]
  ) throws(LoopError) {
    guard operand.strides.count == operand.sizes.count else {
      throw LoopError(.invalidProgram, "\(what) has not one stride per size")
    }
    try check(
      operand.buffer, operand.dtype, operand.sizes, operand.strides, operand.offset, operand.offset, what)
    if isRead, !operand.sizes.contains(0), !written[operand.buffer.index] {
      throw LoopError(.invalidProgram, "\(what) reads b\(operand.buffer.index) before anything writes it")
    }
    if !isRead { written[operand.buffer.index] = true }
  }

  private func check(
    _ buffer: BufferID, _ dtype: DType, _ sizes: [Int], _ strides: [Int], _ low: Int, _ high: Int, _ what: String
  ) throws(LoopError) {
    guard buffers.indices.contains(buffer.index) else {
      throw LoopError(.invalidProgram, "\(what) names b\(buffer.index), which does not exist")
    }
    if sizes.contains(0) { return }
    var (low, high) = (low, high)
    for (size, stride) in zip(sizes, strides) {
      low += min((size - 1) * stride, 0)
      high += max((size - 1) * stride, 0)
    }
    let available = buffers[buffer.index].byteCount
    guard low >= 0, (high + 1) * dtype.byteCount <= available else {
      throw LoopError(
        .invalidProgram, "\(what) touches elements \(low)...\(high) of b\(buffer.index), outside its memory")
    }
  }

  private func validate(_ kernel: MatmulKernel, _ written: inout [Bool]) throws(LoopError) {
    let (left, right, result) = (kernel.left, kernel.right, kernel.result)
    let rank = result.sizes.count
    guard rank >= 2, left.sizes.count == rank, right.sizes.count == rank,
      left.sizes[..<(rank - 2)] == result.sizes[..<(rank - 2)],
      right.sizes[..<(rank - 2)] == result.sizes[..<(rank - 2)],
      left.sizes[rank - 2] == result.sizes[rank - 2], right.sizes[rank - 1] == result.sizes[rank - 1],
      left.sizes[rank - 1] == right.sizes[rank - 2]
    else { throw LoopError(.invalidProgram, "sizes do not fit a matrix product") }
    guard left.dtype == right.dtype, left.dtype == result.dtype else {
      throw LoopError(.invalidProgram, "a matrix product needs operands of one dtype")
    }
    try check(left, "left", isRead: true, &written)
    try check(right, "right", isRead: true, &written)
    try check(result, "result", isRead: kernel.beta != 0, &written)
  }

  private func check(
    _ expression: ScalarExpression, _ kernel: LoopKernel, loads: Int, locals: Int, reductions: Int, _ rank: Int
  ) throws(LoopError) {
    var fault: String?
    expression.forEachLeaf { leaf in
      switch leaf {
      case .load(let index) where !(0..<loads).contains(index): fault = "load \(index)"
      case .local(let index) where !(0..<locals).contains(index): fault = "local \(index)"
      case .reduced(let index) where !(0..<reductions).contains(index): fault = "reduction \(index)"
      case .coordinate(let dimension) where !(0..<rank).contains(dimension): fault = "dimension \(dimension)"
      default: break
      }
    }
    if let fault { throw LoopError(.invalidProgram, "\(expression) uses \(fault), which is not defined there") }
  }
}
