import LoopIR
import TensorCore

extension LoopCompiler {
  /// Places registers in the scratch and lays the program out as plain data.
  func assemble(into memory: PlanMemory) -> LoopPlan {
    var layout = ScratchLayout(self)
    var reductionPlans: [ReductionPlan] = []
    for reduction in kernel.reductions {
      let type = RegisterType(reduction.dtype)
      let levelByteCount = layout.byteCount(type, .group)
      let levels = reduction.operation == .sum ? ReductionPlan.sumLevels : 1
      var accumulator = layout.reserve(levels * levelByteCount)
      if reduction.operation.givesPosition {
        // The position comes right after the value.
        let positionByteCount = layout.byteCount(.int64, .group)
        accumulator = layout.reserve(positionByteCount) - levelByteCount
      }
      reductionPlans.append(
        ReductionPlan(
          operation: reduction.operation, type: type, accumulator: accumulator, levelByteCount: levelByteCount))
    }
    let offsets = layout.offsets
    let accessPlans = accesses.map { plan($0, offsets, memory) }
    let segmentPlans = segments.map { instructions in
      let placed = instructions.map { source in
        var instruction = source
        instruction.target = offsets[instruction.target]
        instruction.a = offsets[instruction.a]
        instruction.b = offsets[instruction.b]
        instruction.c = offsets[instruction.c]
        return instruction
      }
      return Segment(instructions: memory.store(placed), count: placed.count)
    }
    let g = geometry
    return LoopPlan(
      shape: g.shape, isSinglePass: g.isSinglePass, isSerial: isSerial, rowSizes: memory.store(g.rowSizes),
      rowDimensionCount: g.rowDimensions.count, groupDimensionCount: g.groupDimensionCount, rowCount: g.rowCount,
      columnCount: g.columnCount, groupRowCount: g.groupRowCount, groupCount: g.groupCount, tileRows: g.tileRows,
      tileColumns: g.tileColumns, tileGroups: g.tileGroups, itemCount: g.itemCount,
      nanosecondsPerItem: nanosecondsPerItem, segments: memory.store(segmentPlans),
      segmentCount: segmentPlans.count, accesses: memory.store(accessPlans),
      reductions: memory.store(reductionPlans), scratchByteCount: layout.byteCount)
  }

  private func plan(_ draft: AccessDraft, _ offsets: [Int], _ memory: PlanMemory) -> AccessPlan {
    let access = draft.access
    let overGroups = draft.level == .group && geometry.shape == .rows
    let dimensions =
      overGroups ? Array(geometry.rowDimensions.prefix(geometry.groupDimensionCount)) : geometry.rowDimensions
    let indirections = draft.indirections.map {
      IndirectionPlan(register: offsets[$0.register], stride: $0.stride)
    }
    return AccessPlan(
      buffer: access.buffer.index, dtype: access.dtype, type: RegisterType(access.dtype), offset: access.offset,
      strides: memory.store(dimensions.map { access.strides[$0] }),
      columnStride: geometry.columnDimension.map { access.strides[$0] } ?? 0, isGroupLevel: draft.level == .group,
      isUniform: draft.level == .uniform, mode: draft.mode, isCoordinate: draft.isCoordinate,
      indirectionCount: indirections.count, indirections: memory.store(indirections))
  }

  /// Whether two indices may store to one place.
  private var isSerial: Bool {
    kernel.stores.contains { store in
      if !store.access.indirections.isEmpty { return true }
      let sizes = store.extent == .outer ? kernel.outerSizes : kernel.sizes
      let order = sizes.indices.filter { sizes[$0] > 1 }
        .sorted { abs(store.access.strides[$0]) < abs(store.access.strides[$1]) }
      var reach = 0
      for dimension in order {
        let stride = abs(store.access.strides[dimension])
        if stride <= reach { return true }
        reach += stride * (sizes[dimension] - 1)
      }
      return false
    }
  }

  private var nanosecondsPerItem: Double {
    let elements =
      switch geometry.shape {
      case .elementwise: geometry.tileRows * geometry.tileColumns
      case .rows: geometry.tileGroups * geometry.groupRowCount * geometry.columnCount
      case .columns: geometry.groupRowCount * geometry.tileColumns
      }
    var perElement = 0.0
    for segment in stride(from: 2, to: segments.count, by: 2) {
      for instruction in segments[segment] { perElement += instruction.nanosecondsPerElement }
    }
    return perElement * Double(elements)
  }
}

extension Instruction {
  /// A rough figure, to decide whether threads are worth waking.
  fileprivate var nanosecondsPerElement: Double {
    switch opcode {
    case .unary:
      switch unary {
      case .negate, .absolute, .sign, .floor, .ceil, .round, .truncate, .logicalNot, .bitwiseNot, .isNaN: 0.15
      case .sqrt, .rsqrt, .reciprocal: 0.6
      case .erfinv, .lgamma, .digamma: 60
      default: type == .float32 ? 3 : 12
      }
    case .binary:
      switch binary {
      case .divide: 0.6
      case .power, .atan2, .hypot, .floorDivide, .remainder, .truncatedRemainder: 20
      case .polygamma: 100
      default: 0.15
      }
    case .accumulate: 0.3
    default: 0.2
    }
  }
}

/// Places registers: those of one size share a place where their lives do not meet.
private struct ScratchLayout {
  private(set) var offsets: [Int]
  private(set) var byteCount = 0
  private let groupWidth: Int
  private let tileWidth: Int

  init(_ compiler: LoopCompiler) {
    let geometry = compiler.geometry
    groupWidth = geometry.shape == .columns ? geometry.tileColumns : geometry.tileGroups
    tileWidth = max(geometry.tileRows * geometry.tileColumns, groupWidth)
    offsets = Array(repeating: 0, count: max(compiler.registers.count, 1))
    var segmentOf = [Int](repeating: -1, count: compiler.registers.count)
    var lastUse = [(segment: Int, step: Int)](repeating: (-1, -1), count: compiler.registers.count)
    for (segment, instructions) in compiler.segments.enumerated() {
      for (step, instruction) in instructions.enumerated() {
        for register in compiler.operands(of: instruction) {
          let crosses = segmentOf[register] != segment && !geometry.isSinglePass && segment % 2 == 0
          lastUse[register] = (segment, crosses ? Int.max : step)
        }
        if instruction.writesRegister { segmentOf[instruction.target] = segment }
      }
    }
    var free: [Int: [Int]] = [:]
    var isFreed = [Bool](repeating: false, count: compiler.registers.count)
    for (segment, instructions) in compiler.segments.enumerated() {
      var waiting: [Int] = []
      for (step, instruction) in instructions.enumerated() {
        var dying: [Int] = []
        for register in compiler.operands(of: instruction)
        where compiler.registers[register].level != .uniform && lastUse[register].segment == segment
          && !isFreed[register]
        {
          if lastUse[register].step == step { dying.append(register) }
          if lastUse[register].step == Int.max { waiting.append(register) }
          if lastUse[register].step == step || lastUse[register].step == Int.max { isFreed[register] = true }
        }
        func release(_ registers: [Int]) {
          for register in registers {
            let size = byteCount(compiler.registers[register].type, compiler.registers[register].level)
            free[size, default: []].append(offsets[register])
          }
        }
        // A vector of wider elements would be written over operands that are still to be read, as a select's condition.
        let overwritten = dying.filter { register in
          instruction.mayOverwriteOperand
            && compiler.registers[register].type.byteCount >= compiler.registers[instruction.target].type.byteCount
        }
        release(overwritten)
        if instruction.writesRegister {
          let register = compiler.registers[instruction.target]
          let size = byteCount(register.type, register.level)
          if register.level != .uniform, let reused = free[size]?.popLast() {
            offsets[instruction.target] = reused
          } else {
            offsets[instruction.target] = reserve(size)
          }
        }
        release(dying.filter { !overwritten.contains($0) })
      }
      for register in waiting {
        let size = byteCount(compiler.registers[register].type, compiler.registers[register].level)
        free[size, default: []].append(offsets[register])
      }
    }
  }

  func byteCount(_ type: RegisterType, _ level: LoopCompiler.Level) -> Int {
    // One vector more than needed, since loops run over whole ones.
    let width = level == .group ? groupWidth : tileWidth
    return (max(width, 8) * type.byteCount + 63) & ~63
  }

  mutating func reserve(_ size: Int) -> Int {
    byteCount += size
    return byteCount - size
  }
}

extension Instruction {
  fileprivate var writesRegister: Bool {
    switch opcode {
    case .beginReduction, .accumulate, .store, .check: false
    default: true
    }
  }

  /// Whether each step of the instruction's loop reads its operands before it writes their places.
  fileprivate var mayOverwriteOperand: Bool {
    switch opcode {
    case .unary, .binary, .select, .round: true
    default: false
    }
  }
}

extension LoopCompiler {
  fileprivate func operands(of instruction: Instruction) -> [Int] {
    switch instruction.opcode {
    case .constant, .beginReduction, .finishReduction: []
    case .load: accesses[instruction.index].indirections.map(\.register)
    case .store: [instruction.a] + accesses[instruction.index].indirections.map(\.register)
    case .unary, .convert, .round, .spread, .accumulate, .check: [instruction.a]
    case .binary: [instruction.a, instruction.b]
    case .select: [instruction.a, instruction.b, instruction.c]
    }
  }
}
