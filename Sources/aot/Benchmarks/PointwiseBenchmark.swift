import AOTAutograd

/// A chain of elementwise operators, which a fused kernel does in one pass: two tensors read, one written.
enum PointwiseBenchmark {
  static func run(isQuick: Bool) throws -> [BenchmarkResult] {
    let count = isQuick ? 1 << 16 : 1 << 23
    let x = try Tensor((0..<count).map { Float($0 % 97) / 97 })
    let y = try Tensor((0..<count).map { Float($0 % 89) / 89 })
    let compiled = aotFunction { (x: Tensor, y: Tensor) in try chain(x, y) }

    func result(_ key: String, _ label: String, _ body: () throws -> Void) throws -> BenchmarkResult {
      let time = try Timing.median(groups: 5, of: .milliseconds(50), body)
      return BenchmarkResult(
        key: key + "GBPerSecond", label: label, value: Double(3 * 4 * count) / time.seconds / 1e9, unit: "GB/s")
    }
    return [
      try result("compiled", "compiled, 7 operators in one pass") { _ = try compiled(x, y) },
      try result("eager", "eager, the same bytes counted") { _ = try chain(x, y) },
    ]
  }

  private static func chain(_ x: Tensor, _ y: Tensor) throws -> Tensor {
    try ((x * y + x) * 0.5 - y).relu() * x + y
  }
}
