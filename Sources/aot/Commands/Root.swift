extension Command {
  /// The whole program.
  static let aot = Command.group(
    "aot", "Compiles tensor functions, forward and backward, ahead of time",
    [
      .group("train", "Trains an example", [TrainDigits.command, TrainGPT.command]),
      Show.command,
      Ops.command,
      Bench.command,
      Fuzz.command,
      ConformanceCommand.command,
    ])
}
