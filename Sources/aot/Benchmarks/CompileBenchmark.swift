import AOTAutograd

/// Capturing and compiling, all stages, each time from nothing.
enum CompileBenchmark {
  static func run(isQuick: Bool) throws -> [BenchmarkResult] {
    var functions: [(name: String, compile: () throws -> AOTStages)] = [
      ("digits", { try ExampleFunctions.digits(.mlp) }),
      ("digitsStep", { try ExampleFunctions.digits(.mlp, .step) }),
    ]
    if !isQuick {
      functions.append(("convnet", { try ExampleFunctions.digits(.convnet) }))
      functions.append(("gpt", { try ExampleFunctions.gpt() }))
      functions.append(("gptStep", { try ExampleFunctions.gpt(.step) }))
    }
    return try functions.flatMap { name, compile in
      let cold = try compile()
      let warm = try (0..<(isQuick ? 1 : 7)).map { _ in try compile() }
      func result(_ key: String, _ label: String, _ duration: Duration) -> BenchmarkResult {
        BenchmarkResult(key: "\(name)\(key)Ms", label: "\(name), \(label)", value: duration.milliseconds, unit: "ms")
      }
      return [
        result("ColdCapture", "first capture in the process", cold.captureDuration),
        result("ColdCompile", "first compilation in the process", cold.compileDuration),
        result("Capture", "capture", warm.map(\.captureDuration).median),
        result("Compile", "compilation", warm.map(\.compileDuration).median),
      ]
    }
  }
}
