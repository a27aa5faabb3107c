import AOTAutograd
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Replays recorded scenarios, eagerly and compiled, and compares all that the format calls required.
public struct ScenarioReplay {
  private let facts: ScenarioFacts
  private let configuration: AOTConfiguration

  public init(_ facts: ScenarioFacts, configuration: AOTConfiguration = .init()) {
    self.facts = facts
    self.configuration = configuration
  }

  /// Replays every scenario; each result is given as it comes.
  public func run(_ report: (ReplayResult) -> Void) {
    for entry in facts.entries {
      let scenario = entry.scenario
      report(ReplayResult(id: scenario.name, operatorName: scenario.family, outcome: outcome(of: entry)))
    }
  }

  private func outcome(of entry: ScenarioFacts.Entry) -> ReplayResult.Outcome {
    lazy var exact = Self.exactValues(of: entry)
    for (mode, name) in [(ReplayMode.eager, "eager"), (.compiled(configuration), "compiled")] {
      do {
        var session = ScenarioSession(entry.scenario, mode, ScenarioComparison(entry.scenario) { exact })
        try session.run()
      } catch var mismatch as Mismatch {
        mismatch.subject = "\(name): \(mismatch.subject)"
        return .failed(mismatch)
      } catch {
        return .failed(Mismatch("\(name): replay", expected: "a result", got: "the error \"\(error)\""))
      }
    }
    return .passed
  }

  private static func exactValues(of entry: ScenarioFacts.Entry) -> ExactValues? {
    guard let scenario = try? entry.widened() else { return nil }
    let values = ExactValues()
    var session = ScenarioSession(scenario, .eager, ScenarioComparison(scenario, recording: values))
    // What goes wrong in double precision ends the recording, and is no matter of the scenario's.
    try? session.run()
    return values
  }
}

/// One replay of a scenario.
private struct ScenarioSession {
  let scenario: Scenario
  let function: ScenarioFunction
  var comparison: ScenarioComparison
  var previous: ScenarioInputs?

  init(_ scenario: Scenario, _ mode: ReplayMode, _ comparison: ScenarioComparison) {
    self.scenario = scenario
    function = ScenarioFunction(scenario, mode)
    self.comparison = comparison
  }

  mutating func run() throws {
    defer {
      setGradEnabled(true)
      // A program that threw may have left some open.
      DispatchContext.current.recomputeRegions = RecomputeRegions()
    }
    for (number, call) in scenario.calls.enumerated() {
      comparison.context = "call \(number): "
      try run(call)
    }
  }

  private mutating func run(_ call: Scenario.Call) throws {
    setGradEnabled(true)
    let inputs =
      if call.reusesInputs, let previous { ScenarioInputs(reusing: previous, for: call) } else {
        try ScenarioInputs(call)
      }
    previous = inputs
    var outputs: [Value] = []
    let lines: [String]
    do {
      lines = try EffectOutput.lines { outputs = try function(inputs.inputs) }
    } catch {
      if let expected = call.expected.error { return try comparison.compare(error, with: expected, "the call") }
      // What fails eagerly when gradients are computed may fail before.
      if let expected = call.expected.steps.lazy.compactMap(\.error).first {
        return try comparison.compare(error, with: expected, "the call")
      }
      throw Mismatch("\(comparison.context)the call", expected: "a result", got: "the error \"\(error)\"")
    }
    if let expected = call.expected.error {
      throw Mismatch("\(comparison.context)the call", expected: "an error such as \"\(expected.message)\"", got: "none")
    }
    try comparison.compare(lines, with: call.expected.effectLog ?? [])
    try comparison.compare(outputs, inputs, with: call.expected)
    setGradEnabled(true)
    var user = UserSession(scenario, inputs, outputs, comparison)
    for (number, (step, expected)) in zip(call.steps, call.expected.steps).enumerated() {
      user.comparison.context = "\(comparison.context)step \(number): "
      try user.run(step, expected)
    }
  }
}

/// What the user does after a call.
private struct UserSession {
  let scenario: Scenario
  let inputs: ScenarioInputs
  let outputs: [Value]
  var comparison: ScenarioComparison
  var posted: [Value] = []

  init(_ scenario: Scenario, _ inputs: ScenarioInputs, _ outputs: [Value], _ comparison: ScenarioComparison) {
    self.scenario = scenario
    self.inputs = inputs
    self.outputs = outputs
    self.comparison = comparison
  }

  private var names: [ProgramReference: Value] {
    var names: [ProgramReference: Value] = [:]
    names.name(inputs.inputs, .input)
    names.name(outputs, .output)
    names.name(posted, .posted)
    names.name(inputs.leaves.map { .reference($0) }, .leaf)
    return names
  }

  mutating func run(_ step: UserStep, _ expected: ExpectedStep) throws {
    do {
      switch step {
      case .backward(let step): try run(step, expected)
      case .post(let number):
        var run = ProgramRun(knowing: names)
        let values = try run.run(scenario.postPrograms[number])
        posted += values
        if expected.error == nil {
          try comparison.compare(values, with: expected.values, "value")
          try comparison.compare(outputs, with: expected.outputs, "output")
        }
      }
    } catch let mismatch as Mismatch {
      throw mismatch
    } catch {
      guard let wanted = expected.error else {
        throw Mismatch("\(comparison.context)the step", expected: "a result", got: "the error \"\(error)\"")
      }
      return try comparison.compare(error, with: wanted, "the step")
    }
    if let wanted = expected.error {
      throw Mismatch("\(comparison.context)the step", expected: "an error such as \"\(wanted.message)\"", got: "none")
    }
    if let storages = expected.storagesAfter { try comparison.compare(inputs.storages, with: storages) }
  }

  private func run(_ step: BackwardStep, _ expected: ExpectedStep) throws {
    var run = ProgramRun(knowing: names)
    let roots = try step.roots.map { try run.tensor($0) }
    let tangents = try step.tangents.map { try $0.map { try $0.tensor() } }
    let found = try grad(
      of: roots, with: inputs.differentiated, gradients: tangents, retainGraph: step.retainsGraph || step.createsGraph,
      createGraph: step.createsGraph, allowUnused: true)
    if expected.error != nil { return }
    try comparison.compare(perLeaf(found), with: expected.gradients, inputs.leaves, "gradient")
    guard step.differentiatesAgain else { return }
    do {
      let total = try found.compactMap(\.self).map { try $0.sum() }.reduce(nil) { sum, term in
        try sum.map { try $0 + term } ?? term
      }
      let second = try total.map { try grad(of: [$0], with: inputs.differentiated, allowUnused: true) } ?? []
      try comparison.compare(perLeaf(second), with: expected.secondGradients, inputs.leaves, "second gradient")
    } catch let mismatch as Mismatch {
      throw mismatch
    } catch {
      if expected.secondError == nil {
        throw Mismatch("\(comparison.context)second gradient", expected: "a result", got: "the error \"\(error)\"")
      }
    }
  }

  private func perLeaf(_ gradients: [Tensor?]) -> [Tensor?] {
    var next = gradients.makeIterator()
    return inputs.leaves.map { leaf in
      inputs.differentiated.contains { $0 === leaf } ? next.next() ?? nil : nil
    }
  }
}
