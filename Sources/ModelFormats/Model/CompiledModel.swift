import AOTAutograd
import GraphIR
import TensorCore

extension ImportedModel {
  /// The model compiled ahead of time, for each combination of sizes that it is called with. Both share parameters and buffers.
  public func compiled(_ configuration: AOTConfiguration = .init()) -> CompiledModel {
    CompiledModel(self, configuration)
  }
}

/// An imported model that runs compiled; what it gives and writes is what the model itself does.
///
/// Sizes and branches that depend on elements are found out before each call, by running what leads to them; each combination is
/// compiled by itself.
public struct CompiledModel {
  public let model: ImportedModel
  private let function: AOTFunction<ProgramValues, ProgramValues, [Tensor], ProgramValues>

  init(_ model: ImportedModel, _ configuration: AOTConfiguration) {
    self.model = model
    function = aotFunction(configuration: configuration) {
      (inputs: ProgramValues, state: [Tensor], decided: ProgramValues) in
      let decided = Dictionary(uniqueKeysWithValues: zip(model.decisions.nodes, decided.values))
      return ProgramValues(try model.run(inputs.values, state: state, decided: decided))
    }
  }

  /// Runs the program on tensors; see `ImportedModel.callAsFunction`.
  public func callAsFunction(_ tensors: [Tensor]) throws -> [Tensor] {
    try run(model.inputs(tensors)).compactMap(\.reference)
  }

  /// Runs the program on flat inputs; see `ImportedModel.run`.
  public func run(_ inputs: [Value]) throws -> [Value] {
    try function(ProgramValues(inputs), model.stateTensors, decided(inputs)).values
  }

  private func decided(_ inputs: [Value]) throws -> ProgramValues {
    model.decisions.nodes.isEmpty ? ProgramValues([]) : ProgramValues(try model.decisions.find(inputs))
  }

  /// Runs the program on nested arguments; see `ImportedModel.call`.
  public func call(_ arguments: [Value], keywords: [String: Value] = [:]) throws -> Value {
    model.unflattened(try run(model.flattened(arguments, keywords)))
  }

  /// The stages of the way for these inputs, compiling where no call has; nothing is run.
  public func stages(_ inputs: [Value]) throws -> AOTStages {
    try function.stages(ProgramValues(inputs), model.stateTensors, decided(inputs))
  }
}
