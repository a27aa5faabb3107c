import AOTAutogradTesting
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Makes a random program step by step. Each step is tried on real tensors: one that is refused is made anew.
struct ProgramBuilder {
  typealias Name = TensorProgram.Name

  private(set) var program: TensorProgram
  var random: SplitMix
  private let pool: OperatorPool
  private let makeArguments: () throws -> [Tensor]
  private var values: TensorProgram.Values = [:]
  /// In the order of making.
  private(set) var names: [Name]
  private var nextName: Name
  private var isGradEnabled: Bool

  private let attemptCount = 12
  private let maximumElementCount = 48
  private let maximumRank = 4
  /// Larger elements soon have no digits in common with what other roundings give.
  private let maximumMagnitude = 1e3

  /// - Parameter makeArguments: Makes the tensors that the parameters stand for, anew at each call.
  init(
    _ pool: OperatorPool, isGradEnabled: Bool = true, random: SplitMix,
    arguments makeArguments: @escaping () throws -> [Tensor] = { [] }
  ) throws {
    self.pool = pool
    self.isGradEnabled = isGradEnabled
    self.random = random
    self.makeArguments = makeArguments
    let arguments = try makeArguments()
    names = Array(arguments.indices)
    program = TensorProgram(parameters: names)
    nextName = arguments.count
    values = Dictionary(uniqueKeysWithValues: zip(names, arguments))
  }

  /// Goes on with a program without parameters.
  init(continuing program: TensorProgram, _ pool: OperatorPool, random: SplitMix) throws {
    try self.init(pool, random: random)
    self.program = program
    names = program.steps.flatMap { $0.results.compactMap(\.self) }
    nextName = (names.max() ?? -1) + 1
    values = try program.values(of: [])
  }

  func tensor(_ name: Name) -> Tensor? { values[name] }

  mutating func setResults(_ results: [Name?]) { program.results = results }

  // MARK: - Steps

  @discardableResult
  mutating func addLiteral(_ literal: ProgramLiteral) -> Name? {
    append(.init(action: .literal(literal), results: [nextName])) ? nextName - 1 : nil
  }

  mutating func addGradModeSwitch() {
    isGradEnabled.toggle()
    program.steps.append(.init(action: .gradMode(isGradEnabled), results: []))
  }

  /// Makes a leaf of a value that can be one.
  mutating func addRequireGrad() {
    let candidates = names.filter { name in
      values[name].map { $0.dtype.isFloatingPoint && $0.isLeaf && !$0.requiresGrad } ?? false
    }
    if candidates.isEmpty { return }
    _ = append(.init(action: .requireGrad(random.pick(candidates)), results: []))
  }

  /// Adds a call of one of some operators.
  mutating func addCall(of operators: [OperatorDefinition], role: OperatorPool.Role, isGradEnabled: Bool? = nil) {
    for _ in 0..<attemptCount where attempt(random.pick(operators), role, isGradEnabled) { return }
  }

  /// Adds a call of an operator with these arguments.
  @discardableResult
  mutating func addCall(of target: OperatorDefinition, _ arguments: [Argument<Name>]) -> Name? {
    let first = nextName
    guard let filled = try? target.schema.filled(arguments),
      append(.init(action: .call(target, filled), results: [first])), nextName > first
    else { return nil }
    return first
  }

  /// Adds a call that is refused, if a random one is.
  mutating func addRefusedCall() {
    for _ in 0..<attemptCount {
      guard let subject = subject() else { return }
      let step = step(random.pick(pool.writes + pool.views), of: subject, nil).last
      var tried = values
      guard let step else { return }
      do { try trial(step, &tried) } catch {
        program.steps.append(step)
        return
      }
      try? rebuild()
    }
  }

  private mutating func attempt(_ target: OperatorDefinition, _ role: OperatorPool.Role, _ mode: Bool?) -> Bool {
    guard let subject = subject() else { return false }
    let steps = step(target, of: subject, mode)
    let saved = (program.steps.count, nextName, names)
    for step in steps where !append(step) {
      program.steps.removeLast(program.steps.count - saved.0)
      names = saved.2
      return false
    }
    // What was written has no way back but to begin anew.
    let written = role == .write ? [subject.name] : []
    guard (names.dropFirst(saved.2.count) + written).allSatisfy({ isTame($0) }) || random.chance(3) else {
      program.steps.removeLast(program.steps.count - saved.0)
      names = saved.2
      if role == .write { try? rebuild() }
      return false
    }
    return true
  }

  /// What a call is about: most likely something made lately.
  private mutating func subject() -> (name: Name, tensor: Tensor)? {
    guard !names.isEmpty else { return nil }
    let name = random.chance(60) ? names[names.count - 1 - random.below(min(4, names.count))] : random.pick(names)
    return values[name].map { (name, $0) }
  }

  /// The call and the literals that it needs.
  private mutating func step(
    _ target: OperatorDefinition, of subject: (name: Name, tensor: Tensor), _ mode: Bool?
  ) -> [TensorProgram.Step] {
    let known = names.compactMap { name in values[name].map { (name: name, tensor: $0) } }
    var generator = ArgumentGenerator(target, of: subject, among: known, nextName: nextName, random: random)
    let arguments = generator.arguments()
    random = generator.random
    let call = TensorProgram.Step(action: .call(target, arguments), isGradEnabled: mode, results: [])
    return generator.literals + [call]
  }

  /// Takes a step, if it can be taken, and names what it gives.
  private mutating func append(_ step: TensorProgram.Step) -> Bool {
    var step = step
    do {
      let made = try trial(step, &values)
      if case .call = step.action { step.results = made.map { name(for: $0) } }
    } catch { return false }
    for case let name? in step.results {
      names.append(name)
      nextName = max(nextName, name + 1)
    }
    program.steps.append(step)
    return true
  }

  /// A name for a result: most often none for a tensor that has one.
  private mutating func name(for tensor: Tensor) -> Name? {
    if names.contains(where: { values[$0] === tensor }), random.chance(75) { return nil }
    values[nextName] = tensor
    nextName += 1
    return nextName - 1
  }

  @discardableResult
  private func trial(_ step: TensorProgram.Step, _ values: inout TensorProgram.Values) throws -> [Tensor] {
    try DispatchContext.current.withGrad(isGradEnabled) { () throws in try step.take(&values) }
  }

  private mutating func rebuild() throws {
    values = try DispatchContext.current.withGrad(isGradEnabled) { () throws in try program.values(of: makeArguments())
    }
  }

  private func isTame(_ name: Name) -> Bool {
    guard let tensor = values[name], tensor.elementCount <= maximumElementCount, tensor.rank <= maximumRank,
      let elements = try? tensor.doubles()
    else { return false }
    return elements.allSatisfy { abs($0) <= maximumMagnitude }
  }
}
