import AOTAutograd

/// `aot fuzz`
enum Fuzz {
  static let cases = Option("cases", .integer(), default: 10_000, "how many texts to try")
  static let seed = Option("seed", .integer(atLeast: 0), default: 0, "seed of the damage")

  static let command = Command.group(
    "fuzz", "Looks for inputs that are handled wrongly",
    [
      .action(
        "text", "Damages graph texts at random and reads them",
        discussion: """
          Every text must be read or refused by an error, and what is read must print and read back as itself. The texts
          begin as the stages of the digits training.
          """,
        options: [cases.parameter, seed.parameter], run: fuzzText)
    ])

  private static func fuzzText(_ arguments: ParsedArguments, _ console: Console) throws {
    let stages = try ExampleFunctions.digits(.mlp)
    let texts = Stage.allCases.compactMap { $0.graph(of: stages)?.description }
    let fuzzer = TextFuzzer(texts: texts, operators: OperatorLibrary.table)
    let report = fuzzer.run(count: arguments[cases], seed: UInt64(arguments[seed]))
    console.print("\(report.parsed) read, \(report.refused) refused, \(report.unstable.count) that did not read back")
    if let first = report.unstable.first {
      throw DataError(description: "this text reads, but its print does not read back as itself:\n\(first)")
    }
  }
}
