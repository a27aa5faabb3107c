extension Command {
  /// The whole program.
  static let aot = Command.group(
    "aot", "Compiles tensor functions, forward and backward, ahead of time",
    [
      .group(
        "train", "Trains an example, or a model from PyTorch",
        discussion: "A file without a command is a model: 'aot train FILE.pt2 --inputs FILE.safetensors'.",
        standard: "model", [TrainDigits.command, TrainGPT.command, TrainModel.command]),
      Show.command,
      Ops.command,
      Bench.command,
      Fuzz.command,
      ConformanceCommand.command,
    ])
}
