import AOTAutograd

/// What a call costs beside the computation: three operators on eight elements.
enum OverheadBenchmark {
  static func run(isQuick: Bool) throws -> [BenchmarkResult] {
    let x = try Tensor((0..<8).map { Float($0) / 8 })
    let w = try Tensor([Float](repeating: 0.5, count: 8))
    let gradient = try Tensor([Float](repeating: 1, count: 8))
    let trained = try w.clone().requiringGrad()
    let compiled = aotFunction { (x: Tensor, w: Tensor) in try function(x, w) }

    func result(_ key: String, _ label: String, _ body: () throws -> Void) throws -> BenchmarkResult {
      let time = isQuick ? try Timing.median(groups: 1, of: .milliseconds(1), body) : try Timing.median(body)
      return BenchmarkResult(key: key + "Us", label: label, value: time.seconds * 1e6, unit: "µs/call")
    }
    return [
      try result("compiledForward", "compiled, forward") { _ = try compiled(x, w) },
      try result("eagerForward", "eager, forward") { _ = try function(x, w) },
      try result("compiledForwardBackward", "compiled, forward and backward") {
        try compiled(x, trained).backward(gradient: gradient)
        trained.grad = nil
      },
      try result("eagerForwardBackward", "eager, forward and backward") {
        try function(x, trained).backward(gradient: gradient)
        trained.grad = nil
      },
    ]
  }

  private static func function(_ x: Tensor, _ w: Tensor) throws -> Tensor { try (x * w + x).tanh() }
}
