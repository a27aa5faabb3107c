import AOTAutograd
import AOTAutogradTesting
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Makes the case of a number: the same for the same seed, whatever other cases there are.
struct CaseGenerator {
  private let pool = OperatorPool.library
  private var random: SplitMix
  private let compiler: AOTConfiguration.Compiler

  init(seed: UInt64, number: Int, compiler: AOTConfiguration.Compiler) {
    random = SplitMix(seed: seed, stream: UInt64(number))
    self.compiler = compiler
  }

  mutating func makeCase() throws -> FunctionCase {
    let arguments = try makeArguments(count: 1 + random.below(3))
    let captured = random.chance(30) ? try makeArguments(count: 1 + random.below(2)) : TensorProgram(parameters: [])
    let isGradEnabled = !random.chance(6)
    let make = { try arguments.arguments().tensors + captured.arguments().tensors }
    let body = try makeBody(isGradEnabled, make)
    let afterwards = random.chance(45) ? try makeAfterwards(body, isGradEnabled, make, arguments.results.count) : nil
    let first = FunctionCase.Call(
      arguments: arguments, isGradEnabled: isGradEnabled, omittedRoots: omittedRoots(), afterwards: afterwards)
    var calls = [first]
    if random.chance(50) {
      calls.append(first.withOtherElements(&random))
      calls[1].isLikePrevious = captured.results.isEmpty
    }
    if random.chance(40) { calls.append(try changed(first)) }
    return FunctionCase(
      captured: captured, body: body, calls: calls,
      configuration: AOTConfiguration(compiler: compiler, partitioner: random.chance(30) ? .default : .minCut))
  }

  private mutating func omittedRoots() -> UInt64 { random.chance(50) ? 0 : random.next() & random.next() }

  private mutating func split() -> SplitMix { SplitMix(seed: random.next()) }

  // MARK: - Arguments

  /// Leaves, computed tensors and views of them.
  private mutating func makeArguments(count: Int) throws -> TensorProgram {
    var builder = try ProgramBuilder(pool, random: split())
    for _ in 0..<1 + random.below(count) { builder.addLiteral(makeLiteral()) }
    for _ in 0..<random.below(4) {
      switch random.below(100) {
      case ..<55: builder.addCall(of: pool.views, role: .view, isGradEnabled: random.chance(10) ? false : nil)
      case ..<70: builder.addCall(of: pool.commonComputations, role: .compute)
      case ..<85:
        builder.addCall(of: [OperatorLibrary.detach, OperatorLibrary.clone, OperatorLibrary.alias], role: .view)
      case ..<95: builder.addRequireGrad()
      default: builder.addCall(of: pool.writes, role: .write, isGradEnabled: false)
      }
    }
    let names = builder.names
    builder.setResults(
      (0..<count).map { index in random.chance(70) ? names[max(0, names.count - 1 - index)] : random.pick(names) })
    return builder.program
  }

  private mutating func makeLiteral() -> ProgramLiteral {
    var shape = (0..<random.pick([0, 1, 1, 2, 2, 2, 2, 3])).map { _ in random.pick([1, 2, 2, 3, 3, 4]) }
    if random.chance(2), !shape.isEmpty { shape[0] = 0 }
    let dtype: DType =
      switch random.below(100) {
      case ..<72: .float32
      case ..<80: .float64
      case ..<88: .int64
      case ..<94: .bool
      default: random.pick(DType.allCases)
      }
    var literal = random.literal(shape, dtype)
    literal.requiresGrad = dtype.isFloatingPoint && random.chance(50)
    return literal
  }

  // MARK: - Function

  private mutating func makeBody(_ isGradEnabled: Bool, _ make: @escaping () throws -> [Tensor]) throws -> TensorProgram
  {
    var builder = try ProgramBuilder(pool, isGradEnabled: isGradEnabled, random: split(), arguments: make)
    for _ in 0..<2 + random.below(7) {
      let mode: Bool? = random.chance(12) ? false : random.chance(4) ? true : nil
      switch random.below(100) {
      case ..<30: builder.addCall(of: pool.views, role: .view, isGradEnabled: mode)
      case ..<65: builder.addCall(of: pool.writes, role: .write, isGradEnabled: mode)
      case ..<82: builder.addCall(of: pool.commonComputations, role: .compute, isGradEnabled: mode)
      case ..<88: builder.addCall(of: pool.computations, role: .compute, isGradEnabled: mode)
      case ..<93: builder.addCall(of: [OperatorLibrary.detach], role: .view)
      case ..<97: builder.addLiteral(random.literal(random.chance(50) ? [2] : [2, 3], .float32))
      case ..<99: builder.addGradModeSwitch()
      default: builder.addRefusedCall()
      }
    }
    let names = builder.names
    builder.setResults(
      (0..<1 + random.below(4)).map { _ in
        if random.chance(4) { return nil }
        return random.chance(60) ? names[names.count - 1 - random.below(min(4, names.count))] : random.pick(names)
      })
    return builder.program
  }

  /// What the caller does after the call.
  private mutating func makeAfterwards(
    _ body: TensorProgram, _ isGradEnabled: Bool, _ make: @escaping () throws -> [Tensor], _ argumentCount: Int
  ) throws -> TensorProgram? {
    let makeVisible = { () throws -> [Tensor] in
      let tensors = try make()
      return try DispatchContext.current.withGrad(isGradEnabled) { () throws in
        try tensors.prefix(argumentCount) + body(tensors).compactMap(\.self)
      }
    }
    // The body may be one that throws.
    guard var builder = try? ProgramBuilder(pool, random: split(), arguments: makeVisible) else { return nil }
    for _ in 0..<1 + random.below(2) {
      let mode: Bool? = random.chance(50) ? false : nil
      if random.chance(30) { builder.addCall(of: pool.views, role: .view, isGradEnabled: mode) }
      // What memory that grew holds is not defined.
      let writes = pool.writes.filter { $0 !== OperatorLibrary.resize }
      builder.addCall(of: writes, role: .write, isGradEnabled: mode)
    }
    return builder.program
  }

  // MARK: - Further calls

  /// The call with something changed that compilation relies on.
  private mutating func changed(_ call: FunctionCase.Call) throws -> FunctionCase.Call {
    var call = call.withOtherElements(&random)
    var builder = try ProgramBuilder(continuing: call.arguments, pool, random: split())
    var results = builder.program.results.compactMap(\.self)
    let (one, other) = (random.below(results.count), random.below(results.count))
    let rank = results.isEmpty ? 0 : builder.tensor(results[one])?.rank ?? 0
    func replace(_ target: OperatorDefinition, _ arguments: Argument<Int>..., of index: Int) {
      if let name = builder.addCall(of: target, [.reference(results[index])] + arguments) { results[one] = name }
    }
    switch random.below(7) {
    case 0: call.isGradEnabled.toggle()
    case 1: results[one] = results[other]
    case 2: replace(random.pick([OperatorLibrary.detach, OperatorLibrary.alias]), of: other)
    case 3: replace(OperatorLibrary.clone, of: one)
    case 4:  // columns before rows
      replace(OperatorLibrary.transpose, .int(0), .int(-1), of: one)
      replace(OperatorLibrary.clone, .memoryFormat(.contiguous), of: one)
      replace(OperatorLibrary.transpose, .int(0), .int(-1), of: one)
    case 5:  // inside a storage
      replace(OperatorLibrary.repeated, .list([.int(2)] + [Argument](repeating: .int(1), count: rank)), of: one)
      replace(OperatorLibrary.slice, .int(0), .int(1), of: one)
    default: break
    }
    builder.setResults(results)
    call.arguments = builder.program
    if random.chance(30) { call.arguments.toggleGradient(&random) }
    return call
  }
}

extension FunctionCase.Call {
  func withOtherElements(_ random: inout SplitMix) -> FunctionCase.Call {
    var call = self
    for index in call.arguments.steps.indices {
      guard case .literal(var literal) = call.arguments.steps[index].action, literal.dtype.isFloatingPoint else {
        continue
      }
      literal.elements = random.literal(literal.shape, literal.dtype).elements
      call.arguments.steps[index].action = .literal(literal)
    }
    return call
  }
}

extension TensorProgram {
  /// Asks for gradients of a literal, or no longer.
  fileprivate mutating func toggleGradient(_ random: inout SplitMix) {
    let index = random.below(steps.count)
    guard steps.indices.contains(index), case .literal(var literal) = steps[index].action, literal.dtype.isFloatingPoint
    else { return }
    literal.requiresGrad.toggle()
    steps[index].action = .literal(literal)
  }
}
