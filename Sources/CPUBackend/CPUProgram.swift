import LoopIR
import TensorCore

/// A loop program prepared for the CPU. Running it walks a flat array of plain data over one arena taken from a pool, so
/// that several threads may run it at once and a run allocates nothing once the pool has enough.
final class CPUProgram: LoopExecutable, @unchecked Sendable {
  // Safe to share: everything but the pool of arenas is written in `init` alone.
  private enum Step {
    case loop(LoopPlan, checks: UnsafeMutablePointer<LoopPlan>?)
    case matmul(MatmulPlan)
    case host(Int)
  }

  /// Work worth less than this is done by the caller alone.
  private static let parallelThreshold = 20_000.0

  let arenaByteCount: Int
  private let memory = PlanMemory()
  private let steps: UnsafeMutablePointer<Step>
  private let stepCount: Int
  private let hosts: [HostKernel]
  private let bufferCount: Int
  /// Buffer index and position of each external.
  private let externals: UnsafeMutablePointer<External>
  private let externalCount: Int
  private let neededExternals: Int
  private let temporaries: [(buffer: Int, offset: Int)]
  private let scratchByteCount: Int
  private let threadCount: Int
  private let arenas = Locked<[Arena]>([])

  /// A block that one run at a time has: the table of base addresses, the temporaries, each thread's scratch.
  private struct Arena: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
  }

  private struct External {
    var buffer: Int
    var position: Int
    var isEmpty: Bool
  }

  init(_ program: LoopProgram) throws(LoopError) {
    let plan = MemoryPlan(program)
    arenaByteCount = plan.byteCount
    bufferCount = program.buffers.count
    var externals: [External] = []
    for (index, buffer) in program.buffers.enumerated() {
      if case .external(let position) = buffer.role {
        externals.append(External(buffer: index, position: position, isEmpty: buffer.elementCount == 0))
      }
    }
    self.externals = memory.store(externals)
    externalCount = externals.count
    neededExternals = program.externalCount
    temporaries = plan.offsets.enumerated().compactMap { index, offset in offset.map { (index, $0) } }

    var steps: [Step] = []
    var hosts: [HostKernel] = []
    var scratch = 0
    var isParallel = false
    let threads = WorkerPool.shared.threadCount
    for kernel in program.kernels {
      switch kernel {
      case .loop(let kernel):
        let plan = try LoopCompiler(kernel).assemble(into: memory)
        if plan.itemCount == 0 { continue }
        scratch = max(scratch, plan.scratchByteCount)
        var checks: UnsafeMutablePointer<LoopPlan>?
        if kernel.hasIndirections {
          let checkPlan = try LoopCompiler(kernel, checks: true).assemble(into: memory)
          scratch = max(scratch, checkPlan.scratchByteCount)
          checks = memory.store([checkPlan])
        }
        if Self.isParallel(plan) { isParallel = true }
        steps.append(.loop(plan, checks: checks))
      case .matmul(let kernel):
        let plan = try MatmulPlan(kernel, into: memory, threadCount: threads)
        if plan.itemCount == 0 { continue }
        scratch = max(scratch, plan.scratchByteCount)
        if Self.isParallel(plan) { isParallel = true }
        steps.append(.matmul(plan))
      case .host(let kernel):
        steps.append(.host(hosts.count))
        hosts.append(kernel)
      }
    }
    self.steps = .allocate(capacity: max(steps.count, 1))
    self.steps.initialize(from: steps, count: steps.count)
    stepCount = steps.count
    self.hosts = hosts
    scratchByteCount = (scratch + 63) & ~63
    threadCount = isParallel ? threads : 1
  }

  deinit {
    arenas.withLock { for arena in $0 { arena.base.deallocate() } }
    steps.deallocate()
  }

  private static func isParallel(_ plan: LoopPlan) -> Bool {
    !plan.isSerial && plan.itemCount > 1 && plan.nanosecondsPerItem * Double(plan.itemCount) > parallelThreshold
  }

  private static func isParallel(_ plan: MatmulPlan) -> Bool {
    plan.itemCount > 1 && plan.nanosecondsPerItem * Double(plan.itemCount) > parallelThreshold
  }

  // MARK: Arenas

  private func takeArena() -> Arena {
    if let arena = arenas.withLock({ $0.popLast() }) { return arena }
    let arena = UnsafeMutableRawPointer.allocate(
      byteCount: tableByteCount + arenaByteCount + threadCount * scratchByteCount, alignment: 64)
    let table = arena.bindMemory(to: UnsafeMutableRawPointer?.self, capacity: max(bufferCount, 1))
    table.initialize(repeating: nil, count: max(bufferCount, 1))
    for (buffer, offset) in temporaries { table[buffer] = arena + tableByteCount + offset }
    return Arena(base: arena)
  }

  private var tableByteCount: Int {
    (max(bufferCount, 1) * MemoryLayout<UnsafeMutableRawPointer?>.stride + 63) & ~63
  }

  // MARK: Running

  func run(_ addresses: UnsafeBufferPointer<UnsafeMutableRawPointer?>) throws {
    guard addresses.count >= neededExternals else {
      throw LoopError(
        .invalidProgram, "the program takes \(neededExternals) buffers, got \(addresses.count)")
    }
    let arena = takeArena()
    defer { arenas.withLock { $0.append(arena) } }
    let table = arena.base.assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
    for i in 0..<externalCount {
      let external = externals[i]
      guard addresses[external.position] != nil || external.isEmpty else {
        throw LoopError(.invalidProgram, "buffer \(external.position) has no memory")
      }
      table[external.buffer] = addresses[external.position]
    }
    let scratch = arena.base + tableByteCount + arenaByteCount
    for i in 0..<stepCount {
      switch steps[i] {
      case .loop(let plan, let checks):
        if let checks { try check(checks, table, scratch) }
        run(plan, table, scratch)
      case .matmul(let plan): run(plan, table, scratch)
      case .host(let index): try run(hosts[index], table)
      }
    }
  }

  private func check(
    _ plan: UnsafeMutablePointer<LoopPlan>, _ table: UnsafeMutablePointer<UnsafeMutableRawPointer?>,
    _ scratch: UnsafeMutableRawPointer
  ) throws(LoopError) {
    var tile = TileContext(scratch: scratch, buffers: table)
    if plan.pointee.run(0..<plan.pointee.itemCount, &tile) { return }
    throw LoopError(
      .indexOutOfRange, "index \(tile.fault) is out of range for a dimension of size \(tile.faultSize)",
      external: (0..<externalCount).first { externals[$0].buffer == tile.faultBuffer }.map { externals[$0].position })
  }

  @inline(__always)
  private func run(
    _ plan: borrowing LoopPlan, _ table: UnsafeMutablePointer<UnsafeMutableRawPointer?>,
    _ scratch: UnsafeMutableRawPointer
  ) {
    guard Self.isParallel(plan) else {
      var tile = TileContext(scratch: scratch, buffers: table)
      _ = plan.run(0..<plan.itemCount, &tile)
      return
    }
    let work = copy plan
    let turns = min(work.itemCount, threadCount * 4)
    nonisolated(unsafe) let (scratch, table) = (scratch, table)
    WorkerPool.shared.perform(turns) { turn, thread in
      var tile = TileContext(scratch: scratch + thread * scratchByteCount, buffers: table)
      _ = work.run(work.itemCount * turn / turns..<work.itemCount * (turn + 1) / turns, &tile)
    }
  }

  @inline(__always)
  private func run(
    _ plan: borrowing MatmulPlan, _ table: UnsafeMutablePointer<UnsafeMutableRawPointer?>,
    _ scratch: UnsafeMutableRawPointer
  ) {
    guard Self.isParallel(plan) else { return plan.run(0..<plan.itemCount, table, scratch: scratch) }
    let work = copy plan
    let turns = min(work.itemCount, threadCount * 4)
    WorkerPool.shared.perform(turns) { turn, thread in
      work.run(
        work.itemCount * turn / turns..<work.itemCount * (turn + 1) / turns, table,
        scratch: scratch + thread * scratchByteCount)
    }
  }

  private func run(_ kernel: HostKernel, _ table: UnsafeMutablePointer<UnsafeMutableRawPointer?>) throws {
    // A buffer of no elements may have no memory; whoever gets its address reads nothing from it.
    let nowhere = UnsafeMutableRawPointer(table)
    try kernel.body(
      kernel.inputs.map { table[$0.buffer.index] ?? nowhere }, kernel.outputs.map { table[$0.buffer.index] ?? nowhere })
  }
}

extension LoopKernel {
  fileprivate var hasIndirections: Bool {
    loads.contains { !$0.indirections.isEmpty } || stores.contains { !$0.access.indirections.isEmpty }
  }
}
