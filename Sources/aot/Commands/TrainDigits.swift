import Foundation
import Modules

/// `aot train digits`
enum TrainDigits {
  enum ModelName: String, CaseIterable, Sendable { case mlp, convnet }

  static let model = Option("model", .choice, default: ModelName.mlp, "what to train")
  static let epochs = Option("epochs", .integer(), default: 30, "passes over the training images")
  static let batch = Option("batch", .integer(), default: 16, "images per step; those that fill no batch are left out")
  static let rate = Option("lr", .number("RATE", in: 0...100), default: 0.05, "learning rate")
  static let momentum = Option(
    "momentum", .number("MU", in: 0...1), default: 0.9, "share of the last step kept in the next")

  static let command = Command.action(
    "digits", "Trains a classifier of handwritten digits",
    discussion: """
      1,797 images of 8 × 8 pixels, four fifths of a fixed shuffle to train on, the rest to test with.
      E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, CC BY 4.0.

      \(TrainOptions.discussion)
      """,
    options: [model.parameter, epochs.parameter, batch.parameter, rate.parameter, momentum.parameter]
      + TrainOptions.all
  ) { arguments, console in
    switch arguments[model] {
    case .mlp: try train(DigitsMLP.self, arguments, console)
    case .convnet: try train(DigitsConvnet.self, arguments, console)
    }
  }

  private static func train<Model: DigitsModel>(
    _ type: Model.Type, _ arguments: ParsedArguments, _ console: Console
  ) throws {
    let (images, testImages) = try Digits.split()
    let size = arguments[batch]
    guard size <= images.count else {
      throw DataError(description: "a batch of \(size) is more than the \(images.count) images to train on")
    }
    let training = try DigitsTraining(
      type, seed: arguments[TrainOptions.seed], rate: arguments[rate], momentum: arguments[momentum],
      configuration: TrainOptions.configuration(arguments))
    let file = try TrainOptions.file(arguments)
    if arguments[TrainOptions.resume], let file { try training.checkpoint.restore(from: file) }
    let firstEpoch = training.progress.completedCount
    guard firstEpoch <= arguments[epochs] else {
      throw DataError(description: "the checkpoint is of \(firstEpoch) epochs, more than \(arguments[epochs])")
    }
    console.print("\(arguments[model].rawValue): \(training.model.parameterCount) parameters")

    var times = StepTimes()
    var progress = ProgressBar(total: (arguments[epochs] - firstEpoch) * (images.count / size), on: console)
    for _ in firstEpoch..<arguments[epochs] {
      var (loss, correctCount, batchCount) = (0.0, 0, 0)
      for batch in images.batches(of: size, shuffledBy: &training.progress.random) {
        let result = try times.measure { try training.step(batch) }
        loss += result.loss
        correctCount += result.correctCount
        batchCount += 1
        progress.update(
          times.count,
          String(
            format: "loss %.4f  accuracy %.2f %%  %.0f samples/s", loss / Double(batchCount),
            100 * Double(correctCount) / Double(batchCount * size), times.perSecond * Double(size)))
      }
      training.progress.loss = loss / Double(batchCount)
      training.progress.completedCount += 1
      if let file { try training.checkpoint.save(to: file) }
    }
    let accuracy = try training.accuracy(on: testImages)
    console.print(String(format: "test accuracy %.2f %% of %d images", 100 * accuracy, testImages.count))

    let functions =
      arguments[TrainOptions.eager]
      ? [] : [("step", try training.stepStages(batch: images.selecting(0..<size)))]
    let report = TrainingReport(functions: functions, times: times)
    console.print("\n" + report.text)
    if arguments[TrainOptions.json] {
      var line = JSONLine()
      line.add("testAccuracy", accuracy)
      line.add("finalLoss", training.progress.loss ?? .nan)
      report.add(to: &line)
      console.print(line.text)
    }
  }
}
