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
        ], run: replayOperators)
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
}
