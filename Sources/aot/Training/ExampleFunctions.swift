import AOTAutograd

/// The loss functions of both trainings, newly compiled.
enum ExampleFunctions {
  static func digits(
    _ model: TrainDigits.ModelName, _ configuration: AOTConfiguration = AOTConfiguration()
  ) throws -> AOTStages {
    switch model {
    case .mlp: try digits(DigitsMLP.self, configuration)
    case .convnet: try digits(DigitsConvnet.self, configuration)
    }
  }

  private static func digits<Model: DigitsModel>(
    _ type: Model.Type, _ configuration: AOTConfiguration
  ) throws -> AOTStages {
    let images = try Digits.all().selecting(0..<TrainDigits.batch.defaultValue)
    return try DigitsTraining(type, seed: 0, rate: 0, momentum: 0, configuration: configuration)
      .functions(batch: images)[0].stages
  }

  static func gpt(_ configuration: AOTConfiguration = AOTConfiguration()) throws -> AOTStages {
    let size = GPT.Size()
    let data = try TextData(TextData.genesisBytes(), context: size.context)
    var training = try GPTTraining(
      size, batchSize: TrainGPT.batch.defaultValue, data: data, seed: 0, configuration: configuration)
    return try training.functions()[0].stages
  }
}
