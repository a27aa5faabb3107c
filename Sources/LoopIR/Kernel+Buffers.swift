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

  /// Replaces each buffer the kernel touches with what `transform` makes of it.
  mutating func mapBuffers(_ transform: (BufferID) -> BufferID) {
    switch self {
    case .loop(var kernel):
      for index in kernel.loads.indices { kernel.loads[index].buffer = transform(kernel.loads[index].buffer) }
      for index in kernel.stores.indices {
        kernel.stores[index].access.buffer = transform(kernel.stores[index].access.buffer)
      }
      self = .loop(kernel)
    case .matmul(var kernel):
      for path in [\MatmulKernel.left, \MatmulKernel.right, \MatmulKernel.result] {
        kernel[keyPath: path].buffer = transform(kernel[keyPath: path].buffer)
      }
      self = .matmul(kernel)
    case .host(var kernel):
      for index in kernel.inputs.indices { kernel.inputs[index].buffer = transform(kernel.inputs[index].buffer) }
      for index in kernel.outputs.indices { kernel.outputs[index].buffer = transform(kernel.outputs[index].buffer) }
      self = .host(kernel)
    }
  }
}
