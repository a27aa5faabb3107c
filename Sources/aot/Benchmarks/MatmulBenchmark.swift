import AOTAutograd

/// Square float32 products, and what a loop without memory traffic reaches on one core with the same instructions.
enum MatmulBenchmark {
  static func run(isQuick: Bool) throws -> [BenchmarkResult] {
    let sizes = isQuick ? [256] : [256, 512, 1024, 2048]
    let loop = BenchmarkResult(
      key: "multiplyAddGFLOPS", label: "SIMD multiply and add, one core", value: multiplyAddSpeed(), unit: "GFLOP/s")
    return try [loop] + sizes.map(product)
  }

  private static func product(_ size: Int) throws -> BenchmarkResult {
    var random = SeededRandom(seed: size)
    let elements = (0..<size * size).map { _ in random.uniform() }
    let (a, b) = (try Tensor(elements, shape: [size, size]), try Tensor(elements, shape: [size, size]))
    let time = try Timing.median(of: .milliseconds(100)) { _ = try a.matmul(b) }
    let operations = 2 * Double(size) * Double(size) * Double(size)
    return BenchmarkResult(
      key: "matmul\(size)GFLOPS", label: "\(size) × \(size) × \(size)", value: operations / time.seconds / 1e9,
      unit: "GFLOP/s")
  }

  /// The speed of twelve independent chains x ← x · a + b, which stay in registers.
  private static func multiplyAddSpeed() -> Double {
    let rounds = 1_000_000
    var sink: Float = 0
    let time = Timing.median { sink += multiplyAdd(rounds: rounds, factor: 0.999, summand: 0.001) }
    // The sum is always positive; asking keeps the loop from being removed.
    precondition(sink > 0)
    return Double(rounds * 12 * 4 * 2) / time.seconds / 1e9
  }

  @inline(never)
  private static func multiplyAdd(rounds: Int, factor: Float, summand: Float) -> Float {
    let (a, b) = (SIMD4(repeating: factor), SIMD4(repeating: summand))
    var (x0, x1, x2, x3, x4, x5) = (b, b + 1, b + 2, b + 3, b + 4, b + 5)
    var (x6, x7, x8, x9, x10, x11) = (b + 6, b + 7, b + 8, b + 9, b + 10, b + 11)
    for _ in 0..<rounds {
      x0 = x0 * a + b
      x1 = x1 * a + b
      x2 = x2 * a + b
      x3 = x3 * a + b
      x4 = x4 * a + b
      x5 = x5 * a + b
      x6 = x6 * a + b
      x7 = x7 * a + b
      x8 = x8 * a + b
      x9 = x9 * a + b
      x10 = x10 * a + b
      x11 = x11 * a + b
    }
    return (x0 + x1 + x2 + x3 + (x4 + x5 + x6 + x7) + (x8 + x9 + x10 + x11)).sum()
  }
}
