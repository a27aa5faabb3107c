/// `aot bench`
enum Bench {
  static let json = Option.flag("json", "print the results as one line of JSON last")
  static let quick = Option.flag("quick", "measure the smallest case of each kind only, to see that it runs")

  static let command = Command.group(
    "bench", "Measures speed on this machine",
    [
      benchmark("graph", "Time per node to build, print, parse and check graphs", GraphBenchmark.run),
      benchmark(
        "matmul", "Speed of float32 matrix products, beside a loop of SIMD multiplications and additions",
        MatmulBenchmark.run),
      benchmark("overhead", "Time per call of a compiled function too small to matter", OverheadBenchmark.run),
      benchmark(
        "wrappers", "Time per call of what stands between the caller and a compiled graph", WrapperBenchmark.run),
      benchmark("compile", "Time to capture and compile the training steps", CompileBenchmark.run),
      benchmark("pointwise", "Memory traffic of a fused chain of elementwise operators", PointwiseBenchmark.run),
      Accuracy.command,
    ])

  private static func benchmark(
    _ name: String, _ summary: String, _ run: @escaping @Sendable (_ isQuick: Bool) throws -> [BenchmarkResult]
  ) -> Command {
    .action(
      name, summary, discussion: "Numbers are medians over repeated runs; use a release build.",
      options: [quick.parameter, json.parameter]
    ) { arguments, console in
      let results = try run(arguments[quick])
      console.print(BenchmarkResult.text(results))
      if arguments[json] { console.print(BenchmarkResult.json(results)) }
    }
  }
}
