import AOTAutograd
import GraphIR
import TensorCore

/// The function of a scenario, for all of its calls: one compiled function, or the program itself.
struct ScenarioFunction {
  private let call: (FlatValues) throws -> FlatValues

  init(_ program: RecordedProgram, _ mode: ReplayMode) {
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

  func callAsFunction(_ inputs: [Value]) throws -> [Value] { try call(FlatValues(values: inputs)).values }
}

/// A flat list of arguments or results: tensors, numbers, nothing.
private struct FlatValues: TensorTree {
  var values: [Value]

  func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> FlatValues {
    FlatValues(values: try values.map { try $0.map { .reference(try transform($0)) } })
  }

  var treeConstants: [Constant] { values.map { $0.map { _ in .string("tensor") } } }
}
