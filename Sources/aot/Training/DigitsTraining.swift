import AOTAutograd

/// Training of a classifier of digits: one compiled function for loss and gradients, one for the update.
struct DigitsTraining<Model: DigitsModel> {
  let model: Model
  let optimizer: MomentumSGD
  let score: AOTFunction<DigitsScore, Tensor, Tensor, Model>

  init(_: Model.Type, seed: Int, rate: Double, momentum: Double, configuration: AOTConfiguration) throws {
    var random = SeededRandom(seed: seed)
    let model = try Model(from: &random)
    self.model = model
    optimizer = try MomentumSGD(model.tensors, rate: rate, momentum: momentum, configuration: configuration)
    score = aotFunction(configuration: configuration) { (images: Tensor, labels: Tensor, model: Model) in
      try model.score(images, labels)
    }
  }

  /// Takes one step on a batch.
  ///
  /// - Returns: The mean loss and the number of images told right, before the step.
  func step(_ batch: Digits) throws -> (loss: Double, correctCount: Int) {
    let (images, labels) = try batch.tensors()
    let result = try score(images, labels, model)
    try result.loss.backward()
    try optimizer.step()
    return try result.values()
  }

  /// The share of images told right.
  func accuracy(on digits: Digits) throws -> Double {
    let (images, labels) = try digits.tensors()
    let result = try noGrad { try score(images, labels, model) }
    return Double(try result.values().correctCount) / Double(digits.count)
  }

  /// What compiling a step for batches of that size gave.
  func functions(batch: Digits) throws -> [(name: String, stages: AOTStages)] {
    let (images, labels) = try batch.tensors()
    return [("loss", try score.stages(images, labels, model)), ("update", try optimizer.stages())]
  }
}

extension DigitsScore {
  func values() throws -> (loss: Double, correctCount: Int) {
    (Double(try loss.elements(as: Float.self)[0]), try correctCount.elements(as: Int.self)[0])
  }
}
