import AOTAutograd
import XCTest

/// Effects happen as often as the program says, in its order, compiled or not.
final class EffectTests: XCTestCase {
  private static let lossKind = EffectKind("loss")

  /// self, and a line that says what it holds. Its derivative prints, too.
  private static let traced: OperatorDefinition = OperatorDefinition(
    "mylib::traced(Tensor self, str name) -> Tensor", traits: .effectful,
    .host(
      shape: { [TensorMeta(dtype: try $0.tensor(0).dtype, sizes: try $0.tensor(0).sizes)] },
      body: { call, results in
        try results[0].copy_(call.tensor(0))
        try EffectOutput.handler("\(call.string(1)): \(call.tensor(0).sum().item().doubleValue)")
      })
  )
  .derivative(of: "self") { d in
    try printEffect("gradient of \(d.call.string(1))")
    return d.gradient
  }

  /// Counts calls in a tensor, and says so: an effect of a kind of its own.
  private static let count: OperatorDefinition = OperatorDefinition(
    "mylib::count(Tensor(a!) counter) -> ()", traits: .effectful,
    .mutating(
      shape: { _ in [] },
      body: { call, _ in
        try call.tensor(0).add_(1)
        try EffectOutput.handler("count \(call.tensor(0).sum().item().doubleValue)")
      })
  ).effect(lossKind)

  /// Compares lines and results of two calls, each followed by its backward pass, with eager ones.
  private func assertAgrees(
    _ expected: [String]? = nil, line: UInt = #line, _ body: @escaping (Tensor) throws -> [Tensor]
  ) throws {
    func run(_ function: (Tensor) throws -> [Tensor]) throws -> (lines: [String], values: [[Double]]) {
      let x = try wave([4], requiresGrad: true)
      var values: [[Double]] = []
      let lines = try EffectOutput.lines {
        for _ in 0..<2 {
          manualSeed(5)
          let results = try function(x)
          try printEffect("called")
          for result in results where result.requiresGrad { try result.sum().backward(retainGraph: true) }
          values += results.map(CallRecord.values)
        }
      }
      return (lines, values + [x.grad.map(CallRecord.values) ?? []])
    }
    let eager = try run(body)
    if let expected { XCTAssertEqual(eager.lines, expected + ["called"] + expected + ["called"], line: line) }
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration, body)
      let compiled = try run { try function($0) }
      XCTAssertEqual(compiled.lines, eager.lines, name, line: line)
      for (got, want) in zip(compiled.values, eager.values) {
        XCTAssertEqual(got.count, want.count, name, line: line)
        for (a, b) in zip(got, want) { XCTAssertEqual(a, b, accuracy: 1e-5, name, line: line) }
      }
    }
  }

  func testPrintingKeepsItsOrderAndCount() throws {
    try assertAgrees(["only"]) { x in
      try printEffect("only")
      return []
    }
    try assertAgrees(["same", "same", "forward", "same"]) { x in
      try printEffect("same")
      try printEffect("same")
      let y = try x.sin()
      try printEffect("forward")
      let z = try y * 2
      try printEffect("same")
      return [z]
    }
    try assertAgrees(["between"]) { x in
      let buffer = try x.detach().clone()
      try buffer.add_(1)
      try printEffect("between")
      try buffer.mul_(2)
      return [try buffer.sum()]
    }
  }

  func testEffectsSeeInputsAsTheyAreAtTheTime() throws {
    func run(_ function: (Tensor) throws -> Tensor) throws -> [String] {
      let buffer = try Tensor.ones([2])
      let lines = try EffectOutput.lines { for _ in 0..<2 { _ = try function(buffer.t()) } }
      return lines + ["\(CallRecord.values(buffer))"]
    }
    let body: (Tensor) throws -> Tensor = { buffer in
      try buffer.add_(1)
      _ = try Self.traced(.reference(buffer), .string("more"))
      _ = try Self.count.call([.reference(buffer)])
      try buffer.mul_(2)
      return try Self.traced(.reference(buffer), .string("twice"))
    }
    let eager = try run(body)
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration, body)
      XCTAssertEqual(try run { try function($0) }, eager, name)
    }
  }

  func testResultsAndDerivativesWithEffects() throws {
    try assertAgrees { x in
      let first = try Self.traced(.reference(x.sin()), .string("sine"))
      let second = try Self.traced(.reference(first.exp()), .string("exponential"))
      return [try second * first]
    }
  }

  func testEffectsInsideARegionThatIsRecomputedHappenOnce() throws {
    try assertAgrees { x in
      try recomputeRegion(.mustRecompute) {
        let sine = try x.sin()
        try printEffect("inside")
        return [try Self.traced(.reference(sine), .string("sine")).dropout(0.5, isTraining: true).exp()]
      }
    }
  }

  func testEffectsOfSeveralKindsAndRandomNumbers() throws {
    let body: (Tensor) throws -> [Tensor] = { x in
      let counter = try Tensor.zeros([1])
      let noise = try Tensor.rand([4])
      _ = try Self.count.call([.reference(counter)])
      try printEffect("noise")
      _ = try Self.count.call([.reference(counter)])
      return [try x * noise, counter]
    }
    try assertAgrees(["count 1.0", "noise", "count 2.0"], body)
    let stages = try aotFunction(body).stages(wave([4]))
    XCTAssertEqual(stages.meta.effects, [Self.lossKind, .ordered])
    let descriptors = stages.functional.placeholders.map { stages.functional[metadata: $0].descriptor }
    XCTAssertEqual(descriptors, [.input(0), .token(0), .token(1), .randomKey, .randomCounter])
    XCTAssertEqual(stages.functional.outputDescriptors, [.token(0), .token(1), .output(0), .output(1)])
    XCTAssertEqual(stages.wrappers, ["effect tokens", "functionalized RNG"])
  }

  func testFunctionsWithoutEffectsHaveNoTokens() throws {
    XCTAssertEqual(try aotFunction { (x: Tensor) in try x.exp() }.stages(wave([4])).wrappers, [])
  }

  // MARK: Assertions

  func testAssertionsThrowAtTheCallThatBreaksThem() throws {
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration) { (x: Tensor) in
        try assertEffect(x.gt(0).all(), "x must be positive")
        try assertEffect(x.sum())
        return try assertEffect(x.lt(10).all(), "x must be below 10", before: x.log())
      }
      let x = try Tensor([1, 2, 3] as [Float]).requiringGrad()
      try function(x).sum().backward()
      XCTAssertEqual(CallRecord.values(try XCTUnwrap(x.grad)), [1, 0.5, Double(Float(1) / 3)], name)
      for (values, message) in [([1, -2, 3], "x must be positive"), ([1, 20, 3], "x must be below 10")] {
        XCTAssertThrowsError(try function(Tensor(values.map(Float.init)).requiringGrad()), name) { error in
          let cause = (error as? ExecutionError)?.underlying ?? error
          XCTAssertEqual((cause as? OperatorError)?.code, .assertion, name)
          XCTAssertEqual((cause as? OperatorError)?.message, message, name)
        }
      }
      XCTAssertEqual(function.entryCount, 1)
    }
    XCTAssertThrowsError(try assertEffect(Tensor([1, 1]))) { XCTAssertEqual(($0 as? OperatorError)?.code, .shape) }
    XCTAssertThrowsError(try assertEffect(Tensor([0.0]))) { XCTAssertEqual(($0 as? OperatorError)?.code, .assertion) }
    XCTAssertNoThrow(try assertEffect(Tensor([Double.nan])))
  }

  func testABrokenAssertionLeavesInputsAsTheyWere() throws {
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration) { (buffer: Tensor, x: Tensor) in
        try buffer.add_(x)
        try assertEffect(x.gt(0).all(), "x must be positive")
        return try buffer * 2
      }
      let buffer = try Tensor.ones([3])
      XCTAssertThrowsError(try function(buffer, Tensor([1, -1, 1] as [Float]).requiringGrad()), name)
      XCTAssertEqual(CallRecord.values(buffer), [1, 1, 1], name)
    }
  }
}
