import Foundation
import Modules

/// `aot train gpt`
enum TrainGPT {
  static let text = Option(
    "text", .optionalText("FILE"), default: nil, "what to learn, any bytes (default: the Book of Genesis)")
  static let steps = Option("steps", .integer(), default: 300, "optimizer steps")
  static let batch = Option("batch", .integer(), default: 16, "sequences per step")
  static let context = Option("context", .integer(atLeast: 2), default: 64, "bytes per sequence")
  static let width = Option("width", .integer(), default: 128, "width of the model, a multiple of its 4 heads")
  static let rate = Option("lr", .number("RATE", in: 0...100), default: 0.002, "highest learning rate")
  static let sample = Option("sample", .integer("BYTES", atLeast: 0), default: 200, "bytes to generate at the end")

  private static let stepsPerCheckpoint = 50

  static let command = Command.action(
    "gpt", "Trains a byte-level transformer of 4 layers on a text",
    discussion: """
      The first nine tenths of the text are trained on, the rest validates. The default text is the Book of Genesis in the
      King James Version, which is in the public domain. Losses are in nats per byte.

      \(TrainOptions.discussion)
      """,
    options: [
      text.parameter, steps.parameter, batch.parameter, context.parameter, width.parameter, rate.parameter,
      sample.parameter,
    ] + TrainOptions.all,
    run: train)

  private static func train(_ arguments: ParsedArguments, _ console: Console) throws {
    var size = GPT.Size()
    size.context = arguments[context]
    size.width = arguments[width]
    guard size.width.isMultiple(of: size.headCount) else {
      throw DataError(description: "a width of \(size.width) is no multiple of the \(size.headCount) heads")
    }
    let bytes = try arguments[text].map(TextData.bytes(ofFile:)) ?? TextData.genesisBytes()
    let training = try GPTTraining(
      size, batchSize: arguments[batch], data: TextData(bytes, context: size.context),
      seed: arguments[TrainOptions.seed], rate: arguments[rate], stepCount: arguments[steps],
      configuration: TrainOptions.configuration(arguments))
    let file = try TrainOptions.file(arguments)
    if arguments[TrainOptions.resume], let file { try training.checkpoint.restore(from: file) }
    let firstStep = training.progress.completedCount
    guard firstStep <= arguments[steps] else {
      throw DataError(description: "the checkpoint is of \(firstStep) steps, more than \(arguments[steps])")
    }
    console.print("gpt: \(training.model.parameterCount) parameters")

    var times = StepTimes()
    var progress = ProgressBar(total: arguments[steps] - firstStep, on: console)
    for step in firstStep..<arguments[steps] {
      _ = try times.measure { try training.step() }
      progress.update(
        times.count,
        String(
          format: "loss %.4f  %.0f bytes/s", training.progress.loss ?? .nan,
          times.perSecond * Double(arguments[batch] * size.context)))
      let isDue = (step + 1).isMultiple(of: stepsPerCheckpoint) || step + 1 == arguments[steps]
      if let file, isDue { try training.checkpoint.save(to: file) }
    }
    let (trainingLoss, validationLoss) = (training.progress.loss ?? .nan, try training.validationLoss())
    console.print(String(format: "training loss %.4f, validation loss %.4f nats/byte", trainingLoss, validationLoss))
    if arguments[sample] > 0 {
      let (prompt, continuation) = try training.sample(count: arguments[sample])
      console.print("\n…\(prompt)▸\(continuation)…")
    }

    let report = TrainingReport(
      functions: arguments[TrainOptions.eager] ? [] : [("step", try training.stepStages())], times: times)
    console.print("\n" + report.text)
    if arguments[TrainOptions.json] {
      var line = JSONLine()
      line.add("validationLoss", validationLoss)
      line.add("finalLoss", trainingLoss)
      report.add(to: &line)
      console.print(line.text)
    }
  }
}
