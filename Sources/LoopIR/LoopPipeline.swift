/// A pass over loop programs. It never changes what a program leaves in its externals, but for the rounding of float sums.
public struct LoopPass: Sendable {
  public let name: String
  let run: @Sendable (inout LoopProgram) -> Void

  public func callAsFunction(_ program: inout LoopProgram) { run(&program) }
}

/// The passes that make a program fast, in order.
public enum LoopPipeline {
  public static let standard: [LoopPass] = [
    // Sizes of 1 would keep equal iteration spaces from looking equal.
    LoopPass(name: "squeeze-dimensions") { $0.squeezeDimensions() },
    // Before copies merge with what comes before or after them.
    LoopPass(name: "elide-copies") { $0.elideCopies() },
    // What nothing reads must not count as a consumer.
    LoopPass(name: "remove-dead-stores") { $0.removeDeadStores() },
    // Cheap producers go into each consumer, layout copies into products; their buffers disappear.
    LoopPass(name: "inline-producers") { $0.inlineProducers() },
    // What is left and walks the same space becomes one kernel: producers with consumers, reductions with what follows, siblings.
    LoopPass(name: "merge-kernels") { $0.mergeKernels() },
    // Merging took the last reader of many buffers.
    LoopPass(name: "remove-dead-stores-after-merging") { $0.removeDeadStores() },
    // Last, since it hides the shapes that merging goes by.
    LoopPass(name: "collapse-dimensions") { $0.collapseDimensions() },
  ]
}

extension LoopProgram {
  /// The same program in fewer kernels and with fewer buffers in memory.
  ///
  /// - Parameter skipped: Names of passes to leave out.
  public func fused(skipping skipped: Set<String> = []) -> LoopProgram {
    var result = self
    for pass in LoopPipeline.standard where !skipped.contains(pass.name) { pass(&result) }
    return result
  }

  mutating func squeezeDimensions() { mapLoops { $0.squeezed() } }

  mutating func collapseDimensions() { mapLoops { $0.collapsed() } }

  private mutating func mapLoops(_ transform: (LoopKernel) -> LoopKernel) {
    for i in kernels.indices {
      if case .loop(let kernel) = kernels[i] { kernels[i] = .loop(transform(kernel)) }
    }
  }

  /// Drops stores to temporaries that nothing reads afterwards, and kernels that are left without one, unless an index would
  /// go unchecked.
  mutating func removeDeadStores() {
    var isNeeded = buffers.map { $0.role != .temporary }
    var kept: [Kernel] = []
    kept.reserveCapacity(kernels.count)
    for kernel in kernels.reversed() {
      var kernel = kernel
      switch kernel {
      case .loop(var loop):
        let (outer, all) = (loop.outerSizes, loop.sizes)
        loop.stores.removeAll { ($0.extent == .outer ? outer : all).contains(0) }
        var needed = loop
        needed.stores.removeAll { !isNeeded[$0.access.buffer.index] }
        needed = needed.pruned()
        // What nothing reads is computed all the same where an index that leads to it has to be checked.
        if needed.checkedAccessCount < loop.checkedAccessCount { needed = loop.pruned() }
        if needed.stores.isEmpty { continue }
        kernel = .loop(needed)
      case .matmul(let matmul): if !isNeeded[matmul.result.buffer.index] { continue }
      case .host: break
      }
      kernel.forEachBuffer { buffer, isWritten in
        if !isWritten { isNeeded[buffer.index] = true }
      }
      // A product or a sum into a buffer builds on what is there.
      if case .matmul(let matmul) = kernel, matmul.beta != 0 { isNeeded[matmul.result.buffer.index] = true }
      kept.append(kernel)
    }
    kernels = kept.reversed()
  }
}

extension LoopKernel {
  /// The number of its loads and stores at indices that come from elements.
  fileprivate var checkedAccessCount: Int {
    loads.count { !$0.indirections.isEmpty } + stores.count { !$0.access.indirections.isEmpty }
  }
}
