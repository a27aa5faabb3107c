import Foundation
import ModelFormats
import Modules

/// `aot train FILE.pt2`
enum TrainModel {
  static let file = Operand(.text("FILE"), "a .pt2 archive that torch.export wrote")
  static let inputs = Option(
    "inputs", .optionalText("FILE"), default: nil,
    "safetensors with the inputs, by their names or as in/0, in/1, … (required)")
  static let optimizer = Option("optimizer", .choice, default: ModelTraining.OptimizerName.sgd, "what takes the steps")
  static let rate = Option("lr", .number("RATE", in: 0...100), default: 0.1, "learning rate")
  static let momentum = Option(
    "momentum", .number("MU", in: 0...1), default: 0.9, "of sgd, the share of the last step kept in the next")
  static let steps = Option("steps", .integer(), default: 5, "optimizer steps")
  static let loss = Option("loss", .integer("INDEX", atLeast: 0), default: 0, "which result is the loss")

  static let command = Command.action(
    "model", "Trains a model that torch.export wrote",
    discussion: """
      Takes optimizer steps on one batch. The archive stays as it is.

      \(TrainOptions.discussion)
      """,
    operands: [file.parameter],
    options: [
      inputs.parameter, optimizer.parameter, rate.parameter, momentum.parameter, steps.parameter, loss.parameter,
    ] + TrainOptions.all,
    run: train)

  private static func train(_ arguments: ParsedArguments, _ console: Console) throws {
    guard let path = arguments[inputs] else {
      throw DataError(description: "give the inputs of the model: --inputs FILE.safetensors")
    }
    manualSeed(UInt64(arguments[TrainOptions.seed]))
    let model = try ImportedModel(contentsOf: URL(fileURLWithPath: arguments[file]))
    let training = try ModelTraining(
      model, inputs: try ModelInputs.read(path, for: model), lossIndex: arguments[loss],
      optimizer: arguments[optimizer], rate: arguments[rate], momentum: arguments[momentum],
      seed: arguments[TrainOptions.seed], configuration: TrainOptions.configuration(arguments))
    let checkpoint = try TrainOptions.file(arguments)
    if arguments[TrainOptions.resume], let checkpoint { try training.checkpoint.restore(from: checkpoint) }
    let firstStep = training.progress.completedCount
    guard firstStep <= arguments[steps] else {
      throw DataError(description: "the checkpoint is of \(firstStep) steps, more than \(arguments[steps])")
    }
    let count = model.parameters.reduce(0) { $0 + $1.tensor.elementCount }
    console.print("\(model.name): \(count) parameters, \(model.module.graph.count) nodes")

    var times = StepTimes()
    var progress = ProgressBar(total: arguments[steps] - firstStep, on: console)
    var losses = Table(["step", "loss"])
    for step in firstStep..<arguments[steps] {
      let loss = try times.measure { try training.step() }
      losses.add(["\(step)", "\(loss)"])
      progress.update(times.count, String(format: "loss %.6f", loss))
    }
    if let checkpoint { try training.checkpoint.save(to: checkpoint) }
    let finalLoss = try training.loss()
    losses.add(["\(arguments[steps])", "\(finalLoss)"])
    console.print("\n" + losses.text)

    let report = TrainingReport(
      functions: arguments[TrainOptions.eager] ? [] : try training.functions(), times: times)
    console.print("\n" + report.text)
    if arguments[TrainOptions.json] {
      var line = JSONLine()
      line.add("finalLoss", finalLoss)
      report.add(to: &line)
      console.print(line.text)
    }
  }
}
