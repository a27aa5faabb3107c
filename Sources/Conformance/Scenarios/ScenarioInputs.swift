import AOTAutograd
import AOTAutogradTesting
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// What a call of a scenario is given, made as recorded.
struct ScenarioInputs {
  /// Roots of the inputs, whose gradients are compared.
  let leaves: [Tensor]
  /// Those of which gradients are wanted: a call may make others require gradients too.
  let differentiated: [Tensor]
  let inputs: [Value]
  /// The storages that are known, by number.
  private(set) var storages: [Int: Storage] = [:]

  init(_ call: Scenario.Call) throws {
    for (number, recorded) in call.storages.enumerated() where recorded.isLeaf {
      storages[number] = try .of(recorded.elements, recorded.dtype)
    }
    let (known, recorded) = (storages, call.storages)
    leaves = try call.leaves.map { leaf in
      let views = try leaf.views.map { view in
        guard let storage = known[view.storage] else { throw FactsError("a leaf lies in no storage") }
        return try Tensor(storage: storage, layout: view.layout, dtype: recorded[view.storage].dtype)
      }
      let tensor = views.count == 2 ? try Tensor(wrapping: TwoTensor(views[0], views[1])) : views[0]
      return leaf.requiresGrad ? try tensor.requiringGrad() : tensor
    }
    differentiated = leaves.filter(\.requiresGrad)
    var names: [ProgramReference: Value] = [:]
    names.name(leaves.map { .reference($0) }, .leaf)
    var setup = ProgramRun(knowing: names)
    _ = try setup.run(call.setup)
    inputs = try call.inputs.map { input in
      switch input.kind {
      case .none: .none
      case .int: .int(SymInt(input.value ?? 0))
      case .tensor:
        if let reference = input.ref { try setup.value(reference) } else { throw FactsError("an input is not told") }
      }
    }
    learnStorages(of: call)
  }

  /// The very tensors of an earlier call, under the numbers that their storages have in this one.
  init(reusing previous: ScenarioInputs, for call: Scenario.Call) {
    self = previous
    storages = [:]
    for (leaf, recorded) in zip(leaves, call.leaves) where recorded.views.count == 1 {
      storages[recorded.views[0].storage] = leaf.storage
    }
    learnStorages(of: call)
  }

  private mutating func learnStorages(of call: Scenario.Call) {
    for (value, input) in zip(inputs, call.inputs) {
      if let number = input.storage, let tensor = value.reference, storages[number] == nil {
        storages[number] = tensor.recordedStorage
      }
    }
  }

  var tensors: [Tensor?] { inputs.map(\.reference) }
}

extension Tensor {
  /// The storage that is recorded as the tensor's: of a pair, that of its first tensor.
  var recordedStorage: Storage { unwrapped(as: TwoTensor.self)?.a.recordedStorage ?? storage }
}
