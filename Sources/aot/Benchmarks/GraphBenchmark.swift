import AOTAutograd

/// How the cost of a graph grows with its size: linear growth shows as a constant time per node.
enum GraphBenchmark {
  static func run(isQuick: Bool) throws -> [BenchmarkResult] {
    try (isQuick ? [1_000] : [1_000, 10_000, 100_000]).flatMap(measure)
  }

  private static func measure(_ nodeCount: Int) throws -> [BenchmarkResult] {
    let graph = chain(nodeCount)
    let text = graph.description
    func result(_ action: String, _ body: () throws -> Void) rethrows -> BenchmarkResult {
      let time = try Timing.median(groups: 5, body)
      return BenchmarkResult(
        key: "\(action)\(nodeCount)NsPerNode", label: "\(action), \(nodeCount) nodes",
        value: time.seconds * 1e9 / Double(nodeCount), unit: "ns/node")
    }
    return [
      result("build") { _ = chain(nodeCount) },
      result("print") { _ = graph.description },
      try result("parse") { _ = try Graph(parsing: text, operators: OperatorLibrary.table) },
      result("lint") { _ = graph.lint() },
    ]
  }

  /// Additions and hyperbolic tangents in turn, each of the two values before.
  private static func chain(_ nodeCount: Int) -> Graph {
    var graph = Graph()
    let metadata = NodeMetadata(value: .reference(TensorMeta(dtype: .float32, sizes: [8, 8])))
    var before = graph.placeholder("x", metadata: metadata)
    var last = graph.placeholder("y", metadata: metadata)
    for index in 0..<nodeCount - 3 {
      let next =
        index.isMultiple(of: 2)
        ? graph.call(OperatorLibrary.add, [.reference(before), .reference(last)], metadata: metadata)
        : graph.call(OperatorLibrary.tanh, [.reference(last)], metadata: metadata)
      (before, last) = (last, next)
    }
    graph.output(.tuple([.reference(last)]))
    return graph
  }
}
