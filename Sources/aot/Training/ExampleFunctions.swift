import AOTAutograd

/// What is compiled for both trainings, newly compiled.
enum ExampleFunctions {
  /// A part of a training.
  enum Part: String, CaseIterable, Sendable {
    /// The loss, as a function that gradients are taken of.
    case loss
    /// The whole step, with backward pass and update.
    case step
  }

  static func digits(
    _ model: TrainDigits.ModelName, _ part: Part = .loss, _ configuration: AOTConfiguration = AOTConfiguration()
  ) throws -> AOTStages {
    switch model {
    case .mlp: try digits(DigitsMLP.self, part, configuration)
    case .convnet: try digits(DigitsConvnet.self, part, configuration)
    }
  }

  private static func digits<Model: DigitsModel>(
    _ type: Model.Type, _ part: Part, _ configuration: AOTConfiguration
  ) throws -> AOTStages {
    let images = try Digits.all().selecting(0..<TrainDigits.batch.defaultValue)
    let training = try DigitsTraining(
      type, seed: 0, rate: 0, momentum: TrainDigits.momentum.defaultValue, configuration: configuration)
    return try part == .loss ? training.lossStages(batch: images) : training.stepStages(batch: images)
  }

  static func gpt(_ part: Part = .loss, _ configuration: AOTConfiguration = AOTConfiguration()) throws -> AOTStages {
    let size = GPT.Size()
    let data = try TextData(TextData.genesisBytes(), context: size.context)
    let training = try GPTTraining(
      size, batchSize: TrainGPT.batch.defaultValue, data: data, seed: 0, rate: 0, stepCount: 1,
      configuration: configuration)
    return try part == .loss ? training.lossStages() : training.stepStages()
  }
}
