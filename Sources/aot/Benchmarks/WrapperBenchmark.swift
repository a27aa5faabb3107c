import AOTAutograd

/// What the layers around a compiled graph cost: fifty small arguments, of which five are written to, and three results that
/// are views of arguments.
enum WrapperBenchmark {
  static func run(isQuick: Bool) throws -> [BenchmarkResult] {
    let tensors = try (0..<50).map { try Tensor([Float](repeating: Float($0), count: 8)) }
    let compiled = aotFunction { (x: [Tensor]) in
      for index in 0..<5 { try x[index].add_(1) }
      return try (5..<8).map { try x[$0].view([2, 4]) }
    }
    let graph = try LoopCompiler.cpu.compile(GraphModule(compiled.stages(tensors).forward), role: .inference)

    func median(_ body: () throws -> Void) rethrows -> Double {
      (isQuick ? try Timing.median(groups: 1, of: .milliseconds(1), body) : try Timing.median(body)).seconds * 1e6
    }
    let call = try median { _ = try compiled(tensors) }
    let kernels = try median { _ = try graph.run(tensors: tensors) }
    return [
      BenchmarkResult(key: "compiledCallUs", label: "compiled call", value: call, unit: "µs"),
      BenchmarkResult(key: "compiledGraphUs", label: "its graph alone", value: kernels, unit: "µs"),
      BenchmarkResult(key: "wrappersUs", label: "all around the graph", value: call - kernels, unit: "µs"),
    ]
  }
}
