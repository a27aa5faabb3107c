import LoopIR
import TensorCore

/// Turns one loop kernel into a register program over tiles.
///
/// Every value has a level: uniform (one number), per group, or per element; it is computed at its own level, where its
/// stage comes, and spread to the next level where that is needed. Equal instructions of one segment become one.
struct LoopCompiler {
  enum Level: Int, Comparable {
    case uniform, group, element
    static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
  }

  /// A value in a register, and the dtype it counts as.
  struct Value {
    var register: Int
    var dtype: DType
  }

  struct Register {
    var type: RegisterType
    var level: Level
    /// The first stage at which the value is known.
    var stage: Int
  }

  let kernel: LoopKernel
  let geometry: TileGeometry
  private(set) var registers: [Register] = []
  /// Prologue; then group work and tile work of each stage; then the last group work.
  private(set) var segments: [[Instruction]]
  private(set) var accesses: [AccessDraft] = []
  private let stages: [Int]
  private let stageCount: Int
  /// Where element-level work goes while a several-pass kernel's stage is written.
  private var currentStage = 0
  private var memo: [InstructionKey: Int] = [:]
  private var loadMemo: [Int: Value] = [:]
  private var localMemo: [Int: Value] = [:]
  private let isCheck: Bool

  struct AccessDraft: Equatable {
    var access: LoopKernel.Access
    var level: Level
    var mode = LoopKernel.Store.Mode.assign
    var isCoordinate = false
    var indirections: [IndirectionPlan] = []
  }

  /// - Parameter checks: Whether to look at the indices of gathers and scatters instead of doing the kernel's work.
  init(_ source: LoopKernel, checks: Bool = false) throws(LoopError) {
    var kernel = source
    if checks || kernel.reductions.isEmpty {
      for i in kernel.stores.indices where kernel.stores[i].extent == .outer {
        kernel.stores[i].access.strides += kernel.reducedSizes.map { _ in 0 }
        kernel.stores[i].extent = .full
      }
      kernel.outerSizes += kernel.reducedSizes
      kernel.reducedSizes = []
      kernel.reductions = []
    }
    self.kernel = kernel.collapsed()
    geometry = TileGeometry(self.kernel)
    stages = Self.reductionStages(self.kernel)
    stageCount = (stages.max() ?? -1) + 1
    segments = Array(repeating: [], count: 2 * (stageCount + 1) + 2)
    isCheck = checks
    try checks ? writeChecks() : write()
  }

  /// The stage at which each reduction runs: after those whose results it uses.
  private static func reductionStages(_ kernel: LoopKernel) -> [Int] {
    var stages: [Int] = []
    var known = [Int?](repeating: nil, count: kernel.locals.count)
    func firstStage(_ expression: ScalarExpression) -> Int {
      var stage = 0
      expression.forEachLeaf { leaf in
        switch leaf {
        case .reduced(let index): stage = max(stage, stages[index] + 1)
        case .local(let index):
          let own = known[index] ?? firstStage(kernel.locals[index])
          known[index] = own
          stage = max(stage, own)
        default: break
        }
      }
      return stage
    }
    for reduction in kernel.reductions { stages.append(firstStage(reduction.value)) }
    return stages
  }

  // MARK: Structure

  private mutating func write() throws(LoopError) {
    for stage in 0..<stageCount {
      enter(stage)
      for (index, reduction) in kernel.reductions.enumerated() where stages[index] == stage {
        reductionResults[index] = try writeReduction(index, reduction, stage)
      }
    }
    enter(stageCount)
    // A result may lie over an input that dies here: all loads come before the first store.
    var full: [Instruction] = []
    var outer: [Instruction] = []
    for store in kernel.stores where store.extent == .full { full.append(try instruction(for: store, level: .element)) }
    for store in kernel.stores where store.extent == .outer { outer.append(try instruction(for: store, level: .group)) }
    segments[2 + 2 * stageCount] += full
    segments[segments.count - 1] += outer
  }

  private mutating func enter(_ stage: Int) {
    currentStage = stage
    if !geometry.isSinglePass {
      loadMemo.removeAll(keepingCapacity: true)
      localMemo.removeAll(keepingCapacity: true)
    }
  }

  private var reductionResults: [Int: Value] = [:]

  private mutating func writeReduction(
    _ index: Int, _ reduction: LoopKernel.Reduction, _ stage: Int
  ) throws(LoopError) -> Value {
    let type = RegisterType(reduction.dtype)
    let value = try converted(value(reduction.value, hint: reduction.dtype), to: reduction.dtype)
    let givesPosition = reduction.operation.givesPosition
    let result = newRegister(givesPosition ? .int64 : type, .group, stage + 1)
    var begin = Instruction(opcode: .beginReduction, type: type, isGroupLevel: true)
    begin.index = index
    segments[1 + 2 * stage].append(begin)
    var step = Instruction(opcode: .accumulate, type: type)
    step.index = index
    step.a = raised(value.register, to: .element)
    segments[2 + 2 * stage].append(step)
    var finish = Instruction(opcode: .finishReduction, type: type, isGroupLevel: true)
    finish.index = index
    finish.target = result
    segments[3 + 2 * stage].append(finish)
    var final = Value(register: result, dtype: givesPosition ? .int64 : reduction.dtype)
    if !givesPosition { final = rounded(final, reduction.dtype) }
    return final
  }

  /// The instruction that stores a value, which is computed where its level and stage say.
  private mutating func instruction(
    for store: LoopKernel.Store, level: Level
  ) throws(LoopError) -> Instruction {
    var access = store.access
    if store.extent == .outer { access.strides += kernel.reducedSizes.map { _ in 0 } }
    let indirections = try indirections(of: access, level: level)
    let value = try converted(
      value(store.value.withoutCast(to: access.dtype), hint: access.dtype), to: access.dtype, forStore: true)
    let type = RegisterType(access.dtype)
    guard registers[value.register].level <= level else {
      throw LoopError(.invalidProgram, "an outer store of a value that differs inside the reduced space, in \(kernel)")
    }
    var instruction = Instruction(opcode: .store, type: type, isGroupLevel: level == .group)
    instruction.a = raised(value.register, to: level)
    instruction.index = accesses.count
    accesses.append(
      AccessDraft(
        access: access, level: level, mode: store.mode, indirections: indirections))
    return instruction
  }

  private mutating func writeChecks() throws(LoopError) {
    for index in kernel.loads.indices where !kernel.loads[index].indirections.isEmpty {
      _ = try value(.load(index), hint: nil)
    }
    for store in kernel.stores { _ = try indirections(of: store.access, level: .element) }
  }

  // MARK: Values

  private mutating func value(_ expression: ScalarExpression, hint: DType?) throws(LoopError) -> Value {
    switch expression {
    case .load(let index):
      if let known = loadMemo[index] { return known }
      let result = try load(index)
      loadMemo[index] = result
      return result
    case .local(let index):
      if let known = localMemo[index] { return known }
      let result = try value(kernel.locals[index], hint: hint)
      localMemo[index] = result
      return result
    case .reduced(let index):
      guard let result = reductionResults[index] else {
        throw LoopError(.invalidProgram, "reduction \(index) is used before it is done, in \(kernel)")
      }
      return result
    case .constant(let scalar): return constant(scalar, hint ?? scalar.naturalDType)
    case .coordinate(let dimension): return coordinate(dimension)
    case .cast(let dtype, let inner): return try converted(value(inner, hint: dtype), to: dtype)
    case .unary(let operation, let a): return try unary(operation, value(a, hint: hint))
    case .binary(let operation, let a, let b): return try binary(operation, a, b, hint: hint)
    case .select(let condition, let a, let b):
      let flag = try converted(value(condition, hint: .bool), to: .bool)
      let (x, y) = try pair(a, b, hint: hint)
      var instruction = Instruction(opcode: .select, type: registers[x.register].type)
      (instruction.a, instruction.b, instruction.c) = (flag.register, x.register, y.register)
      return Value(register: emit(instruction, [flag.register, x.register, y.register]), dtype: x.dtype)
    }
  }

  private mutating func pair(
    _ a: ScalarExpression, _ b: ScalarExpression, hint: DType?
  ) throws(LoopError) -> (Value, Value) {
    var (x, y): (Value, Value)
    if a.isConstant, !b.isConstant {
      y = try value(b, hint: hint)
      x = try value(a, hint: y.dtype)
    } else {
      x = try value(a, hint: hint ?? (b.isConstant ? b.naturalDType : nil))
      y = try value(b, hint: x.dtype)
    }
    if x.dtype != y.dtype {
      let wider = x.dtype.rawValue > y.dtype.rawValue ? x.dtype : y.dtype
      x = try converted(x, to: wider)
      y = try converted(y, to: wider)
    }
    return (x, y)
  }

  private mutating func unary(_ operation: UnaryOperation, _ operand: Value) throws(LoopError) -> Value {
    var operand = operand
    if operation.needsFloatingPoint, !operand.dtype.isFloatingPoint { operand = try converted(operand, to: .float32) }
    // On a bool, flipping bits is negation.
    let operation = operation == .bitwiseNot && operand.dtype == .bool ? .logicalNot : operation
    let givesBool = operation == .logicalNot || operation == .isNaN
    var instruction = Instruction(opcode: .unary, type: registers[operand.register].type)
    instruction.unary = operation
    instruction.a = operand.register
    let type = givesBool ? RegisterType.int32 : instruction.type
    let result = emit(instruction, [operand.register], resultType: type)
    if givesBool { return Value(register: result, dtype: .bool) }
    if operand.dtype == .bool { return truth(Value(register: result, dtype: .int32)) }
    return rounded(Value(register: result, dtype: operand.dtype.computeDType), operand.dtype.wrapDType)
  }

  private mutating func binary(
    _ operation: BinaryOperation, _ a: ScalarExpression, _ b: ScalarExpression, hint: DType?
  ) throws(LoopError) -> Value {
    if operation == .power, case .constant(let exponent) = b,
      let special = try power(a, exponent.doubleValue, hint: hint)
    {
      return special
    }
    let (x, y) = try pair(a, b, hint: operation.isComparison ? nil : hint)
    let type = registers[x.register].type
    guard operation.isDefined(for: type) else {
      throw LoopError(.unsupported, "\(operation.rawValue) of \(x.dtype) numbers")
    }
    var instruction = Instruction(opcode: .binary, type: type)
    instruction.binary = operation
    (instruction.a, instruction.b) = (x.register, y.register)
    let result = emit(
      instruction, [x.register, y.register], resultType: operation.isComparison ? .int32 : type)
    if operation.isComparison { return Value(register: result, dtype: .bool) }
    if x.dtype == .bool {
      // A sum of bools is their or; wrapped to 0 or 1, as any number that becomes a bool.
      return operation.keepsBool
        ? Value(register: result, dtype: .bool) : truth(Value(register: result, dtype: .int32))
    }
    return rounded(Value(register: result, dtype: x.dtype.computeDType), x.dtype.wrapDType)
  }

  /// Exponents that products and roots give exactly or better.
  private mutating func power(
    _ base: ScalarExpression, _ exponent: Double, hint: DType?
  ) throws(LoopError) -> Value? {
    if base.isConstant { return nil }
    let x = try value(base, hint: hint)
    func product(_ x: Value, _ y: Value) -> Instruction {
      var instruction = Instruction(opcode: .binary, type: registers[x.register].type)
      instruction.binary = .multiply
      (instruction.a, instruction.b) = (x.register, y.register)
      return instruction
    }
    switch exponent {
    case 1: return x
    case 2, 3:
      var result = x
      for _ in 1..<Int(exponent) {
        let register = emit(product(result, x), [result.register, x.register])
        result = rounded(Value(register: register, dtype: x.dtype.computeDType), x.dtype.wrapDType)
      }
      return result
    case 0.5 where x.dtype.isFloatingPoint: return try unary(.sqrt, x)
    case -0.5 where x.dtype.isFloatingPoint: return try unary(.rsqrt, x)
    case -1 where x.dtype.isFloatingPoint: return try unary(.reciprocal, x)
    default: return nil
    }
  }

  private mutating func constant(_ scalar: Scalar, _ dtype: DType) -> Value {
    var instruction = Instruction(opcode: .constant, type: RegisterType(dtype))
    instruction.bits = scalar.bits(as: dtype)
    return Value(register: emit(instruction, []), dtype: dtype)
  }

  private mutating func load(_ index: Int) throws(LoopError) -> Value {
    let access = kernel.loads[index]
    var level = self.level(of: access.strides)
    let indirections = try indirections(of: access, level: level)
    for indirection in indirections { level = max(level, registers[indirection.register].level) }
    return addLoad(AccessDraft(access: access, level: level, indirections: indirections))
  }

  private mutating func coordinate(_ dimension: Int) -> Value {
    var access = LoopKernel.Access(
      buffer: BufferID(0), dtype: .int64, strides: kernel.sizes.map { _ in 0 })
    access.strides[dimension] = 1
    return addLoad(AccessDraft(access: access, level: level(of: access.strides), isCoordinate: true))
  }

  private mutating func addLoad(_ draft: AccessDraft) -> Value {
    var draft = draft
    for i in draft.indirections.indices {
      draft.indirections[i].register = raised(draft.indirections[i].register, to: draft.level)
    }
    var instruction = Instruction(opcode: .load, type: RegisterType(draft.access.dtype))
    let number = accesses.firstIndex { $0 == draft } ?? accesses.count
    if number == accesses.count { accesses.append(draft) }
    instruction.index = number
    let register = emit(instruction, draft.indirections.map(\.register), atLeast: draft.level)
    return Value(register: register, dtype: draft.access.dtype)
  }

  /// The registers of an access's indices; in a kernel of checks, each is checked as soon as it is known.
  private mutating func indirections(
    of access: LoopKernel.Access, level: Level
  ) throws(LoopError) -> [IndirectionPlan] {
    var level = level
    var values: [Value] = []
    for indirection in access.indirections {
      let index = try converted(value(indirection.index, hint: .int64), to: .int64)
      if isCheck {
        var check = Instruction(opcode: .check, type: .int64, isGroupLevel: registers[index.register].level == .uniform)
        check.a = index.register
        check.bits = UInt64(max(indirection.size, 0))
        check.index = indirection.index.firstLoad.map { kernel.loads[$0].buffer.index } ?? -1
        segments[segment(registers[index.register].level, 0)].append(check)
      }
      level = max(level, registers[index.register].level)
      values.append(index)
    }
    return zip(access.indirections, values).map { indirection, value in
      IndirectionPlan(register: raised(value.register, to: level), stride: indirection.stride)
    }
  }

  // MARK: Conversions

  private mutating func converted(_ value: Value, to dtype: DType, forStore: Bool = false) throws(LoopError) -> Value {
    if value.dtype == dtype { return value }
    if dtype == .bool { return truth(value) }
    let type = registers[value.register].type
    let target = RegisterType(dtype)
    var result = value
    if type != target {
      var instruction = Instruction(opcode: .convert, type: type)
      instruction.targetType = target
      instruction.dtype = dtype
      instruction.a = value.register
      result.register = emit(instruction, [value.register], resultType: target)
    }
    result.dtype = dtype
    // A store narrows by itself.
    return forStore ? result : rounded(result, value.dtype.fits(in: dtype) ? .float32 : dtype)
  }

  private mutating func truth(_ value: Value) -> Value {
    var instruction = Instruction(opcode: .convert, type: registers[value.register].type)
    instruction.targetType = .int32
    instruction.dtype = .bool
    instruction.a = value.register
    return Value(register: emit(instruction, [value.register], resultType: .int32), dtype: .bool)
  }

  /// Wrapped or rounded to a dtype narrower than its register.
  private mutating func rounded(_ value: Value, _ dtype: DType) -> Value {
    guard dtype.isNarrow else { return value }
    var instruction = Instruction(opcode: .round, type: registers[value.register].type)
    instruction.dtype = dtype
    instruction.a = value.register
    return Value(register: emit(instruction, [value.register]), dtype: dtype)
  }

  /// The register, or where it has one value per group and every element needs one, a register that repeats it.
  private mutating func raised(_ register: Int, to level: Level) -> Int {
    let source = registers[register]
    guard source.level == .group, level == .element else { return register }
    // One row is its own spread.
    if geometry.shape == .columns, geometry.tileRows == 1 { return register }
    var instruction = Instruction(opcode: .spread, type: source.type)
    instruction.a = register
    return emit(instruction, [register], atLeast: .element)
  }

  // MARK: Emission

  private func level(of strides: [Int]) -> Level {
    if strides.allSatisfy({ $0 == 0 }) { return .uniform }
    if geometry.shape == .elementwise { return .element }
    return strides[kernel.outerSizes.count...].allSatisfy { $0 == 0 } ? .group : .element
  }

  private func segment(_ level: Level, _ stage: Int) -> Int {
    switch level {
    case .uniform: 0
    case .group: 1 + 2 * stage
    case .element: 2 + 2 * (geometry.isSinglePass ? stage : currentStage)
    }
  }

  private mutating func newRegister(_ type: RegisterType, _ level: Level, _ stage: Int) -> Int {
    registers.append(Register(type: type, level: level, stage: stage))
    return registers.count - 1
  }

  private mutating func emit(
    _ source: Instruction, _ operands: [Int], resultType: RegisterType? = nil, atLeast: Level = .uniform
  ) -> Int {
    var instruction = source
    var level = atLeast
    var stage = 0
    for operand in operands {
      level = max(level, registers[operand].level)
      stage = max(stage, registers[operand].stage)
    }
    if instruction.opcode != .load, instruction.opcode != .spread {
      if operands.count > 0 { instruction.a = raised(operands[0], to: level) }
      if operands.count > 1 { instruction.b = raised(operands[1], to: level) }
      if operands.count > 2 { instruction.c = raised(operands[2], to: level) }
    }
    instruction.isGroupLevel = level == .group
    let place = segment(level, stage)
    let key = InstructionKey(instruction, place)
    if let known = memo[key] { return known }
    let target = newRegister(resultType ?? instruction.type, level, stage)
    instruction.target = target
    segments[place].append(instruction)
    memo[key] = target
    return target
  }
}
