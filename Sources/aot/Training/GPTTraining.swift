import Foundation
import Modules

/// Training of a byte-level GPT: one compiled program for a step, one for the loss of other text, one to generate.
final class GPTTraining {
  let model: GPT
  let optimizer: Optimizer
  let scheduler: LearningRateScheduler
  /// Counts steps.
  let progress: TrainingProgress
  let checkpoint: Checkpoint
  private let size: GPT.Size
  private let batchSize: Int
  private let data: TextData
  private let program: TrainingStep<Tensor, Tensor, Tensor>
  private let loss: AOTFunction<Tensor, Tensor, Tensor>
  private let lastLogits: AOTFunction<Tensor, Tensor>

  /// - Parameters:
  ///   - rate: The highest learning rate.
  ///   - stepCount: Over how many steps it rises and falls.
  init(
    _ size: GPT.Size, batchSize: Int, data: TextData, seed: Int, rate: Double, stepCount: Int,
    configuration: AOTConfiguration
  ) throws {
    let model = try Generator(seed: UInt64(seed)).use { try GPT(size) }
    self.model = model
    self.size = size
    self.batchSize = batchSize
    self.data = data
    progress = TrainingProgress(seed: seed + 1)
    // Vectors are biases and scales of norms: they do not decay.
    let (matrices, vectors) = (
      model.namedParameters.filter { $0.tensor.rank > 1 }, model.namedParameters.filter { $0.tensor.rank <= 1 }
    )
    optimizer = try Optimizer([
      ParameterGroup(matrices, AdamW(betas: (0.9, 0.99), weightDecay: 0.1), learningRate: rate),
      ParameterGroup(vectors, AdamW(betas: (0.9, 0.99), weightDecay: 0), learningRate: rate),
    ])
    scheduler = try LearningRateScheduler(optimizer, Self.schedule(highest: rate, stepCount: stepCount))
    checkpoint = try Checkpoint([
      "model": model, "optimizer": optimizer, "schedule": scheduler, "progress": progress,
    ])
    program = try aotTrainingStep(model, optimizer, configuration: configuration) {
      (model: GPT, input: Tensor, targets: Tensor) in try model.loss(input, targets)
    }
    loss = aotModule(model, configuration: configuration) { (model: GPT, input: Tensor, targets: Tensor) in
      try model.loss(input, targets)
    }
    lastLogits = aotModule(model, configuration: configuration) { (model: GPT, input: Tensor) in
      try model(input).select(1, -1)
    }
  }

  /// Rises over the first twentieth of the steps, then falls along half a cosine to a tenth.
  private static func schedule(highest: Double, stepCount: Int) throws -> some LearningRateSchedule {
    let warmUp = max(1, stepCount / 20)
    let first = 1 / Double(warmUp)
    return try SequentialLR(
      [
        LinearLR(from: first, to: 1 + first, stepCount: warmUp),
        CosineAnnealingLR(stepCount: max(1, stepCount - warmUp), minimum: highest / 10),
      ], milestones: [warmUp])
  }

  /// Takes one step on random sequences.
  ///
  /// - Returns: The loss before the step, in nats per byte.
  func step() throws -> Double {
    let (input, targets) = try randomBatch()
    let result = try program(input, targets)
    try scheduler.step()
    let loss = Double(try result.elements(as: Float.self)[0])
    progress.loss = progress.loss.map { 0.95 * $0 + 0.05 * loss } ?? loss
    progress.completedCount += 1
    return loss
  }

  private func randomBatch() throws -> (inputs: Tensor, targets: Tensor) {
    let starts = TextData.starts(in: data.training, count: batchSize, context: size.context, by: &progress.random)
    return try TextData.batch(data.training, starts: starts, context: size.context)
  }

  /// The mean loss over disjoint sequences of the text that training does not see, in nats per byte.
  func validationLoss() throws -> Double {
    let starts = TextData.coveringStarts(in: data.validation, context: size.context)
    var losses: [Double] = []
    for first in stride(from: 0, to: starts.count, by: batchSize) {
      // The last batch is filled up from before, so that all have the shape that is compiled already.
      let batch = (first..<first + batchSize).map { starts[$0 < starts.count ? $0 : $0 % starts.count] }
      let (input, targets) = try TextData.batch(data.validation, starts: batch, context: size.context)
      losses.append(Double(try noGrad { try loss(input, targets) }.elements(as: Float.self)[0]))
    }
    return losses.reduce(0, +) / Double(losses.count)
  }

  /// Continues the text that training does not see, drawing each byte from the model's distribution at a temperature.
  func sample(count: Int, temperature: Double = 0.8) throws -> (prompt: String, continuation: String) {
    var bytes = Array(data.validation.prefix(size.context))
    for _ in 0..<count {
      let input = try Tensor(bytes.suffix(size.context).map { Int64($0) }, shape: [1, size.context])
      let logits = try noGrad { try lastLogits(input) }.elements(as: Float.self)
      bytes.append(UInt8(truncatingIfNeeded: draw(logits.map { Double($0) / temperature })))
    }
    return (
      String(decoding: bytes.prefix(size.context), as: UTF8.self),
      String(decoding: bytes.dropFirst(size.context), as: UTF8.self)
    )
  }

  private func draw(_ logits: [Double]) -> Int {
    let largest = logits.max() ?? 0
    let weights = logits.map { exp($0 - largest) }
    var rest = Double(progress.random.uniform()) * weights.reduce(0, +)
    for (index, weight) in weights.enumerated() {
      rest -= weight
      if rest < 0 { return index }
    }
    return weights.count - 1
  }

  /// What compiling a step gave.
  func stepStages() throws -> AOTStages {
    let (input, targets) = try randomBatch()
    return try program.stages(input, targets)
  }

  /// What compiling the loss alone gives, as a function that gradients are taken of.
  func lossStages() throws -> AOTStages {
    let (input, targets) = try randomBatch()
    return try loss.stages(input, targets)
  }
}
