import Foundation
import ModelFormats
import Modules

/// Training of an imported model on one batch: its compiled program for loss and gradients, another for the update.
final class ModelTraining {
  enum OptimizerName: String, CaseIterable, Sendable { case sgd, adamw }

  let checkpoint: Checkpoint
  /// Counts steps.
  let progress: TrainingProgress
  private let model: CompiledModel
  private let inputs: [Value]
  private let lossIndex: Int
  private let optimizer: Optimizer
  private let update: AOTFunction<Void, [Tensor?]>

  init(
    _ model: ImportedModel, inputs: [Value], lossIndex: Int, optimizer name: OptimizerName, rate: Double,
    momentum: Double, seed: Int, configuration: AOTConfiguration
  ) throws {
    self.model = model.compiled(configuration)
    self.inputs = inputs
    self.lossIndex = lossIndex
    let parameters = model.parameters.map { NamedTensor($0.name, $0.tensor) }.filter { $0.tensor.requiresGrad }
    let optimizer =
      switch name {
      case .sgd: try Optimizer(parameters, SGD(momentum: momentum), learningRate: rate)
      case .adamw: try Optimizer(parameters, AdamW(), learningRate: rate)
      }
    self.optimizer = optimizer
    update = aotFunction(configuration: configuration) { (gradients: [Tensor?]) in
      try optimizer.update(by: gradients)
    }
    progress = TrainingProgress(seed: seed)
    checkpoint = try Checkpoint([
      "model": model, "optimizer": optimizer, "progress": progress, "generator": Generator.default,
    ])
  }

  /// Takes one step.
  ///
  /// - Returns: The loss before it.
  func step() throws -> Double {
    let loss = try lossTensor()
    try loss.backward()
    let gradients = optimizer.parameters.map(\.tensor.grad)
    guard gradients.contains(where: { $0 != nil }) else {
      throw DataError(description: "no parameter takes part in result \(lossIndex)")
    }
    try noGrad { try update(gradients) }
    optimizer.zeroGrad()
    progress.completedCount += 1
    return try loss.item().doubleValue
  }

  /// The loss as things stand.
  func loss() throws -> Double { try noGrad { try lossTensor().item().doubleValue } }

  /// The model may write to its inputs, so each call gets copies.
  private func lossTensor() throws -> Tensor {
    let copies = try inputs.map { try $0.map { .reference(try $0.clone()) } }
    let results = try model.run(copies)
    guard results.indices.contains(lossIndex), let loss = results[lossIndex].reference, loss.elementCount == 1 else {
      throw DataError(description: "result \(lossIndex) of \(results.count) is no tensor of one element, so no loss")
    }
    return loss
  }

  /// What compiling a step gave.
  func functions() throws -> [(name: String, stages: AOTStages)] {
    let gradients = optimizer.parameters.map { Optional($0.tensor) }
    return [("loss", try model.stages(inputs)), ("update", try noGrad { try update.stages(gradients) })]
  }
}
