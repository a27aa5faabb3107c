import AOTAutograd
import Foundation
import ModelFormats

/// `aot show`
enum Show {
  enum Format: String, CaseIterable, Sendable { case text, dot, json }

  static let subject = Operand(
    .text("WHAT"), "digits or gpt for that training, a .pt2 archive, or a file of graph text")
  static let stage = Option("stage", .choice, default: Stage.captured, "which graph of digits, gpt or an archive")
  static let program = Option.flag("program", "of an archive, the program as the file has it")
  static let inputs = Option(
    "inputs", .optionalText("FILE"), default: nil,
    "of an archive, what to compile it for (default: zeros)")
  static let model = Option("model", .choice, default: TrainDigits.ModelName.mlp, "which model of digits")
  static let part = Option(
    "part", .choice, default: ExampleFunctions.Part.loss, "the loss, or the whole step of training")
  static let format = Option("format", .choice, default: Format.text, "how to print: as text, Graphviz or JSON")

  static let command = Command.action(
    "show", "Prints a graph",
    discussion: """
      An archive is one that torch.export wrote. Any other file is read as graph text, checked, and printed; it holds one
      graph, so that --stage does not matter to it.
      """,
    operands: [subject.parameter],
    options: [
      stage.parameter, part.parameter, model.parameter, program.parameter, inputs.parameter,
      DecompositionChoice.option.parameter, format.parameter,
    ]
  ) { arguments, console in
    let graph = try graph(arguments)
    switch arguments[format] {
    case .text: console.writeOutput("\(graph)")
    case .dot: console.print(graph.dot())
    case .json: console.print(graph.json())
    }
  }

  /// What is compiled has been decomposed before it was partitioned; the stages before that, and files, are now.
  private static func graph(_ arguments: ParsedArguments) throws -> Graph {
    let table = arguments[DecompositionChoice.option].table
    let configuration = AOTConfiguration(decompositions: table)
    return try graph(arguments, configuration).decomposed(by: table)
  }

  private static func graph(_ arguments: ParsedArguments, _ configuration: AOTConfiguration) throws -> Graph {
    let stage = arguments[stage]
    switch arguments[subject] {
    case "digits":
      return try graph(stage, of: ExampleFunctions.digits(arguments[model], arguments[part], configuration))
    case "gpt": return try graph(stage, of: ExampleFunctions.gpt(arguments[part], configuration))
    case let path where path.hasSuffix(".pt2"):
      let model = try ImportedModel(contentsOf: URL(fileURLWithPath: path))
      if arguments[program] { return model.module.graph }
      let inputs = try arguments[inputs].map { try ModelInputs.read($0, for: model) } ?? model.exampleInputs()
      return try graph(stage, of: model.compiled(configuration).stages(inputs))
    case let path:
      let text = String(decoding: try TextData.bytes(ofFile: path), as: UTF8.self)
      let graph = try Graph(parsing: text, operators: OperatorLibrary.table)
      try graph.validate()
      return graph
    }
  }

  private static func graph(_ stage: Stage, of stages: AOTStages) throws -> Graph {
    guard let graph = stage.graph(of: stages) else {
      throw DataError(description: "this function has no stage '\(stage.rawValue)'")
    }
    return graph
  }
}
