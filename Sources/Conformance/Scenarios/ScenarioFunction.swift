import AOTAutograd
import EagerAutograd
import GraphIR
import TensorCore

/// The function of a scenario, for all of its calls: one compiled function, or the program itself.
struct ScenarioFunction {
  private let call: (FlatValues) throws -> FlatValues
  private let hooks: SavedTensorHooks?

  init(_ scenario: Scenario, _ mode: ReplayMode) {
    let program = scenario.program
    hooks = scenario.savedTensorHooks.map(SavedTensorHooks.init)
    let body = { (inputs: FlatValues) throws -> FlatValues in
      var known: [ProgramReference: Value] = [:]
      known.name(inputs.values, .input)
      var run = ProgramRun(knowing: known)
      return FlatValues(values: try run.run(program))
    }
    switch mode {
    case .eager: call = body
    case .compiled(let configuration):
      let function = aotFunction(configuration: configuration, body)
      call = { try function($0) }
    }
  }

  func callAsFunction(_ inputs: [Value]) throws -> [Value] {
    let inputs = FlatValues(values: inputs)
    return try (hooks.map { hooks in try hooks.use { try call(inputs) } } ?? call(inputs)).values
  }
}

extension SavedTensorHooks {
  /// Recorded hooks: they see floating-point tensors alone.
  fileprivate convenience init(_ recorded: Scenario.Hooks) {
    func run(_ program: RecordedProgram, _ tensor: Tensor) throws -> [Tensor] {
      guard !program.steps.isEmpty else { return [tensor] }
      var run = ProgramRun(knowing: [ProgramReference(.hooked, 0): .reference(tensor)])
      return try run.run(program).compactMap(\.reference)
    }
    // A second tensor tells what was kept as it is.
    self.init {
      $0.dtype.isFloatingPoint ? try run(recorded.pack, $0) : [$0, $0]
    } unpack: {
      $0.count == 1 ? try run(recorded.unpack, $0[0])[0] : $0[0]
    }
  }
}

/// A flat list of arguments or results: tensors, numbers, nothing.
private struct FlatValues: TensorTree {
  var values: [Value]

  func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> FlatValues {
    FlatValues(values: try values.map { try $0.map { .reference(try transform($0)) } })
  }

  var treeConstants: [Constant] { values.map { $0.map { _ in .string("tensor") } } }
}
