import AOTAutograd
import Foundation
import ModelFormats

/// Training of an imported model on one batch: its compiled program for loss and gradients, another for the update.
struct ModelTraining {
  enum OptimizerName: String, CaseIterable, Sendable { case sgd, adamw }

  private enum Optimizer {
    case sgd(MomentumSGD)
    case adamw(AdamW)
  }

  private let model: CompiledModel
  private let inputs: [Value]
  private let lossIndex: Int
  private let makeOptimizer: ([Tensor]) throws -> Optimizer
  private let rate: Double
  /// Made at the first step, for the parameters that take part in the loss.
  private var optimizer: Optimizer?

  init(
    _ model: ImportedModel, inputs: [Value], lossIndex: Int, optimizer: OptimizerName, rate: Double, momentum: Double,
    configuration: AOTConfiguration
  ) {
    self.model = model.compiled(configuration)
    self.inputs = inputs
    self.lossIndex = lossIndex
    self.rate = rate
    makeOptimizer = { parameters in
      switch optimizer {
      case .sgd: .sgd(try MomentumSGD(parameters, rate: rate, momentum: momentum, configuration: configuration))
      case .adamw: .adamw(try AdamW(parameters, configuration: configuration))
      }
    }
  }

  /// Takes one step.
  ///
  /// - Returns: The loss before it.
  mutating func step() throws -> Double {
    let loss = try lossTensor()
    try loss.backward()
    let parameters = model.model.parameters.map(\.tensor).filter { $0.grad != nil }
    guard !parameters.isEmpty else { throw DataError(description: "no parameter takes part in result \(lossIndex)") }
    switch try optimizer ?? makeOptimizer(parameters) {
    case .sgd(let sgd):
      try sgd.step()
      optimizer = .sgd(sgd)
    case .adamw(var adamw):
      try adamw.step(rate: rate)
      optimizer = .adamw(adamw)
    }
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
    let loss = (name: "loss", stages: try model.stages(inputs))
    switch optimizer {
    case .sgd(let sgd): return [loss, ("update", try sgd.stages())]
    case .adamw(let adamw): return [loss, ("update", try adamw.stages())]
    case nil: return [loss]
    }
  }
}
