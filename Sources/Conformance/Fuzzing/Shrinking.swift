import AOTAutogradTesting
import GraphIR
import TensorCore

extension FunctionCase {
  /// The smallest case found for which something still holds, by leaving out what can be.
  func shrunk(maximumTrialCount: Int = 1000, while holds: (FunctionCase) -> Bool) -> FunctionCase {
    var best = self
    var candidates = best.smaller
    // What could not be left out may go once more has gone: it is over when a whole round was in vain.
    var (next, sinceSuccess) = (0, 0)
    for _ in 0..<maximumTrialCount where sinceSuccess < candidates.count {
      let candidate = candidates[next % candidates.count]
      (next, sinceSuccess) = (next + 1, sinceSuccess + 1)
      guard holds(candidate) else { continue }
      best = candidate
      candidates = best.smaller
      (next, sinceSuccess) = (next - 1, 0)
    }
    return best
  }

  /// Cases with one thing less, those with most less first.
  private var smaller: [FunctionCase] {
    var all: [FunctionCase] = []
    func add(_ change: (inout FunctionCase) -> Bool) {
      var candidate = self
      if change(&candidate) { all.append(candidate) }
    }
    for index in calls.indices where calls.count > 1 {
      add {
        $0.calls.remove(at: index)
        for rest in $0.calls.indices { $0.calls[rest].isLikePrevious = false }
        return true
      }
    }
    for index in calls.indices where calls[index].afterwards != nil {
      add {
        $0.calls[index].afterwards = nil
        return true
      }
    }
    for index in body.results.indices where body.results.count > 1 { add { $0.removeOutput(index) } }
    for index in body.steps.indices.reversed() {
      add { $0.removeBodyStep(index) }
      add { $0.body.bypass(index) }
    }
    for index in 0..<argumentCount where argumentCount > 1 { add { $0.removeArgument(index) } }
    for index in captured.results.indices { add { $0.removeCaptured(index) } }
    for index in calls.indices {
      all += shrunkPrograms(\FunctionCase.calls[index].arguments)
      if let afterwards = calls[index].afterwards {
        for step in afterwards.steps.indices { add { $0.calls[index].afterwards?.remove(step) ?? false } }
      }
      if calls[index].omittedRoots != 0 {
        add {
          $0.calls[index].omittedRoots = 0
          return true
        }
      }
      if calls[index].omittedRoots != .max {
        add {
          $0.calls[index].omittedRoots = .max
          return true
        }
      }
    }
    all += shrunkPrograms(\.captured) + shrunkPrograms(\.body)
    return all
  }

  /// The case with less in one of its programs.
  private func shrunkPrograms(_ path: WritableKeyPath<FunctionCase, TensorProgram>) -> [FunctionCase] {
    let program = self[keyPath: path]
    var all: [FunctionCase] = []
    for index in program.steps.indices.reversed() {
      var changes: [(inout TensorProgram) -> Bool] = [{ $0.bypass(index) }, { $0.endGradMode(index) }]
      if program.parameters.isEmpty { changes.append { $0.removeUnused(index) } }
      changes += program.steps[index].smallerLiterals.map { literal in
        {
          $0.steps[index].action = .literal(literal)
          return true
        }
      }
      for change in changes {
        var candidate = self
        if change(&candidate[keyPath: path]) { all.append(candidate) }
      }
    }
    return all
  }

  private var argumentCount: Int { calls.first?.arguments.results.count ?? 0 }

  private mutating func removeBodyStep(_ index: Int) -> Bool {
    let gone = body.removeWithUses(index)
    for output in body.results.indices.reversed() {
      if let name = body.results[output], gone.contains(name) { _ = removeOutput(output) }
    }
    return true
  }

  private mutating func removeOutput(_ index: Int) -> Bool {
    let position = argumentCount + body.results[..<index].count { $0 != nil }
    if body.results.remove(at: index) != nil { removeAfterwardsParameter(position) }
    return true
  }

  private mutating func removeArgument(_ index: Int) -> Bool {
    guard calls.allSatisfy({ $0.arguments.results.count > index }) else { return false }
    guard !body.removeParameter(index) else { return false }
    for call in calls.indices { calls[call].arguments.results.remove(at: index) }
    removeAfterwardsParameter(index)
    return true
  }

  private mutating func removeCaptured(_ index: Int) -> Bool {
    guard !body.removeParameter(argumentCount + index) else { return false }
    captured.results.remove(at: index)
    return true
  }

  private mutating func removeAfterwardsParameter(_ position: Int) {
    for call in calls.indices {
      guard var program = calls[call].afterwards else { continue }
      let name = program.parameters.remove(at: position)
      program.removeUses(of: [name])
      calls[call].afterwards = program
    }
  }
}

extension TensorProgram {
  /// Removes a parameter, unless it is used.
  ///
  /// - Returns: Whether it is.
  fileprivate mutating func removeParameter(_ index: Int) -> Bool {
    guard parameters.indices.contains(index) else { return true }
    let name = parameters[index]
    if results.contains(name) || steps.contains(where: { $0.action.uses.contains(name) }) { return true }
    parameters.remove(at: index)
    return false
  }

  fileprivate mutating func remove(_ index: Int) -> Bool {
    _ = removeWithUses(index)
    return true
  }

  /// Removes a step whose results nobody uses.
  fileprivate mutating func removeUnused(_ index: Int) -> Bool {
    let names = steps[index].results.compactMap(\.self)
    let isUsed =
      results.contains { $0.map(names.contains) ?? false }
      || steps.contains { $0.action.uses.contains(where: names.contains) }
    if !isUsed { steps.remove(at: index) }
    return !isUsed
  }

  /// Removes a step and all that depends on it.
  ///
  /// - Returns: The values that there are no longer.
  fileprivate mutating func removeWithUses(_ index: Int) -> Set<Name> {
    removeUses(of: Set(steps.remove(at: index).results.compactMap(\.self)))
  }

  @discardableResult
  fileprivate mutating func removeUses(of names: Set<Name>) -> Set<Name> {
    var gone = names
    steps.removeAll { step in
      guard step.action.uses.contains(where: gone.contains) else { return false }
      gone.formUnion(step.results.compactMap(\.self))
      return true
    }
    return gone
  }

  /// Removes a call, what it was called on taking the place of what it gave.
  fileprivate mutating func bypass(_ index: Int) -> Bool {
    guard case .call = steps[index].action, let source = steps[index].action.uses.first else { return false }
    let names = Set(steps.remove(at: index).results.compactMap(\.self))
    func renamed(_ name: Name) -> Name { names.contains(name) ? source : name }
    for later in steps.indices {
      switch steps[later].action {
      case .call(let target, let arguments):
        steps[later].action = .call(target, arguments.map { $0.map { .reference(renamed($0)) } })
      case .requireGrad(let name): steps[later].action = .requireGrad(renamed(name))
      case .literal, .gradMode: break
      }
    }
    results = results.map { $0.map(renamed) }
    return true
  }

  fileprivate mutating func endGradMode(_ index: Int) -> Bool {
    defer { steps[index].isGradEnabled = nil }
    return steps[index].isGradEnabled != nil
  }
}

extension TensorProgram.Step {
  fileprivate var smallerLiterals: [ProgramLiteral] {
    guard case .literal(let literal) = action else { return [] }
    var all: [ProgramLiteral] = []
    for (dimension, size) in literal.shape.enumerated() where size > 1 {
      var smaller = literal
      smaller.shape[dimension] = size - 1
      smaller.elements = Array(literal.elements.prefix(smaller.shape.reduce(1, *)))
      all.append(smaller)
    }
    if literal.requiresGrad {
      all.append(literal)
      all[all.count - 1].requiresGrad = false
    }
    return all
  }
}
