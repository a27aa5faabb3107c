import AOTAutograd
import Conformance
import Foundation

/// `aot conformance`
enum ConformanceCommand {
  enum DeviceName: String, CaseIterable, Sendable { case cpu, cuda }

  static let folder = Operand(.text("DIR"), "a folder of recorded facts")
  static let filter = Option("filter", .optionalText("NAME"), default: nil, "only operators whose name contains this")
  static let compiled = Option.flag("compiled", "capture and compile every call, gradients through the joint graph")
  static let device = Option("device", .choice, default: DeviceName.cpu, "where to run")
  enum BackendName: String, CaseIterable, Sendable { case interpret, cpu, cuda }

  static let scenario = Option(
    "filter", .optionalText("NAME"), default: nil, "only scenarios whose name contains this")
  static let modelName = Option("filter", .optionalText("NAME"), default: nil, "only models whose name contains this")
  static let backend = Option("backend", .choice, default: BackendName.cpu, "what compiles graphs")
  static let json = Option.flag("json", "print failures and skipped cases as lines of JSON")

  static let command = Command.group(
    "conformance", "Replays what was recorded from PyTorch, and compares",
    [
      .action(
        "ops", "Replays calls of single operators",
        discussion: """
          Prints every case that fails, with what was expected and what came, why cases are skipped, and last how many passed.
          The exit code is 1 where one failed.
          """,
        operands: [folder.parameter],
        options: [
          filter.parameter, compiled.parameter, DecompositionChoice.option.parameter, device.parameter, json.parameter,
        ], run: replayOperators),
      .action(
        "scenarios", "Replays functions that write, alias and differentiate",
        discussion: """
          Replays each scenario eagerly and compiled, with all that the user does after the call. Prints every scenario that
          fails, with the field, what was expected and what came, and last how many passed. The exit code is 1 where one
          failed.
          """,
        operands: [folder.parameter], options: [scenario.parameter, backend.parameter, json.parameter],
        run: replayScenarios),
      .action(
        "models", "Replays models that torch.export wrote",
        discussion: """
          Reads each model, runs it eagerly and compiled, and compares results, every gradient, buffers, inputs that it writes
          to, and training steps, at every recorded batch size. Prints every part that fails, with the field, what was
          expected and what came, and last how many passed. The exit code is 1 where one failed.
          """,
        operands: [folder.parameter], options: [modelName.parameter, backend.parameter, json.parameter],
        run: replayModels),
    ])

  private static func replayOperators(_ arguments: ParsedArguments, _ console: Console) throws {
    guard arguments[device] == .cpu else {
      throw DataError(description: "there is no CUDA backend yet: leave out --device, or give it cpu")
    }
    let facts = try OperatorFacts(folder: URL(fileURLWithPath: arguments[folder]))
    let decompositions = arguments[DecompositionChoice.option].table
    let isCompiled = arguments[compiled] || !decompositions.isEmpty
    let replay = OperatorReplay(
      facts, mode: isCompiled ? .compiled(AOTConfiguration(decompositions: decompositions)) : .eager)
    let printer = ReplayPrinter(console, asJSON: arguments[json])
    replay.run(filter: arguments[filter], printer.add)
    try printer.finish()
  }

  private static func replayScenarios(_ arguments: ParsedArguments, _ console: Console) throws {
    let facts = try ScenarioFacts(folder: URL(fileURLWithPath: arguments[folder]), filter: arguments[scenario])
    let configuration = try configuration(arguments)
    let printer = ReplayPrinter(console, asJSON: arguments[json])
    ScenarioReplay(facts, configuration: configuration).run(printer.add)
    try printer.finish()
  }

  private static func replayModels(_ arguments: ParsedArguments, _ console: Console) throws {
    let facts = try ModelFacts(folder: URL(fileURLWithPath: arguments[folder]), filter: arguments[modelName])
    let configuration = try configuration(arguments)
    let printer = ReplayPrinter(console, asJSON: arguments[json])
    ModelReplay(facts, configuration: configuration).run(printer.add)
    try printer.finish()
  }

  private static func configuration(_ arguments: ParsedArguments) throws -> AOTConfiguration {
    switch arguments[backend] {
    case .interpret: AOTConfiguration(compiler: .interpret)
    case .cpu: AOTConfiguration(compiler: .cpu)
    case .cuda: throw DataError(description: "there is no CUDA backend yet: give --backend interpret or cpu")
    }
  }
}
