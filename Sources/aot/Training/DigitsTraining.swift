import Modules

/// Training of a classifier of digits: one compiled program for a step, one to see how well it does.
final class DigitsTraining<Model: DigitsModel> {
  let model: Model
  let optimizer: Optimizer
  /// Counts epochs.
  let progress: TrainingProgress
  let checkpoint: Checkpoint
  private let program: TrainingStep<(Tensor, Tensor), Tensor, Tensor>
  private let score: AOTFunction<(Tensor, Tensor), Tensor, Tensor>

  init(_: Model.Type, seed: Int, rate: Double, momentum: Double, configuration: AOTConfiguration) throws {
    let model = try Generator(seed: UInt64(seed)).use { try Model(classCount: Digits.classCount) }
    self.model = model
    optimizer = try Optimizer(model, SGD(momentum: momentum), learningRate: rate)
    progress = TrainingProgress(seed: seed + 1)
    checkpoint = try Checkpoint(["model": model, "optimizer": optimizer, "progress": progress])
    program = try aotTrainingStep(model, optimizer, configuration: configuration) {
      (model: Model, images: Tensor, labels: Tensor) -> (Tensor, Tensor) in try model.score(images, labels)
    }
    score = aotModule(model, configuration: configuration) {
      (model: Model, images: Tensor, labels: Tensor) -> (Tensor, Tensor) in try model.score(images, labels)
    }
  }

  /// Takes one step on a batch.
  ///
  /// - Returns: The mean loss and the number of images told right, before the step.
  func step(_ batch: Digits) throws -> (loss: Double, correctCount: Int) {
    let (images, labels) = try batch.tensors()
    return try values(program(images, labels))
  }

  /// The share of images told right.
  func accuracy(on digits: Digits) throws -> Double {
    let (images, labels) = try digits.tensors()
    let result = try noGrad { try score(images, labels) }
    return Double(try values(result).correctCount) / Double(digits.count)
  }

  private func values(_ result: (loss: Tensor, correctCount: Tensor)) throws -> (loss: Double, correctCount: Int) {
    (Double(try result.loss.elements(as: Float.self)[0]), try result.correctCount.elements(as: Int.self)[0])
  }

  /// What compiling a step for batches of that size gave.
  func stepStages(batch: Digits) throws -> AOTStages {
    let (images, labels) = try batch.tensors()
    return try program.stages(images, labels)
  }

  /// What compiling the loss alone gives, as a function that gradients are taken of.
  func lossStages(batch: Digits) throws -> AOTStages {
    let (images, labels) = try batch.tensors()
    return try score.stages(images, labels)
  }
}
