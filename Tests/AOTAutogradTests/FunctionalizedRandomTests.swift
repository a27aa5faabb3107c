import AOTAutograd
import XCTest

/// Compiled functions draw the very numbers that eager execution draws from the same generator.
final class FunctionalizedRandomTests: XCTestCase {
  /// A call of every operator that draws, on a tensor of probabilities [3, 5].
  private static let calls: [String: @Sendable (Tensor) -> [Value]] = [
    "aten.rand.default": { _ in [ints(3, 5)] },
    "aten.randn.default": { _ in [ints(5, 3)] },
    "aten.randint.default": { _ in [.int(9), ints(15)] },
    "aten.randint.low": { _ in [.int(-4), .int(9), ints(15)] },
    "aten.randperm.default": { _ in [.int(11)] },
    "aten.rand_like.default": { [.reference($0)] },
    "aten.randn_like.default": { [.reference($0)] },
    "aten.randint_like.default": { [.reference($0), .int(9)] },
    "aten.randint_like.low_dtype": { [.reference($0), .int(-4), .int(9)] },
    "aten.uniform.default": { [.reference($0), .double(-1), .double(2)] },
    "aten.normal_functional.default": { [.reference($0), .double(1), .double(2)] },
    "aten.bernoulli.p": { [.reference($0), .double(0.4)] },
    "aten.bernoulli.default": { [.reference($0)] },
    "aten.bernoulli.Tensor": { [.reference($0), .reference($0)] },
    "aten.exponential.default": { [.reference($0)] },
    "aten.geometric.default": { [.reference($0), .double(0.4)] },
    "aten.cauchy.default": { [.reference($0)] },
    "aten.log_normal.default": { [.reference($0)] },
    "aten.random.default": { [.reference($0)] },
    "aten.random.to": { [.reference($0), .int(9)] },
    "aten.random.from": { [.reference($0), .int(2), .int(9)] },
    "aten.native_dropout.default": { [.reference($0), .double(0.4), .bool(true)] },
    "aten.multinomial.default": { [.reference($0), .int(3), .bool(false)] },
  ]

  private static func ints(_ values: Int...) -> Value { .list(values.map { .int(SymInt($0)) }) }

  private static var drawing: [OperatorDefinition] { OperatorLibrary.all.filter { $0.traits.contains(.random) } }

  private func probabilities() throws -> Tensor { try (Tensor.arange(15).reshape([3, 5]) + 1) / 17.0 }

  /// What a function gives from a seed, and what is drawn next.
  private func drawn(_ function: (Tensor) throws -> [Tensor]) throws -> [[Double]] {
    manualSeed(7)
    return try (function(probabilities()) + [Tensor.rand([3])]).map(CallRecord.values)
  }

  private func assertDrawsAsEagerly(
    _ name: String, _ body: @escaping (Tensor) throws -> [Tensor], line: UInt = #line
  ) throws {
    let eager = try drawn(body)
    for (configurationName, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration, body)
      for call in 1...2 {
        XCTAssertEqual(try drawn { try function($0) }, eager, "\(name), \(configurationName), call \(call)", line: line)
      }
    }
  }

  func testEveryOperatorThatDraws() throws {
    XCTAssertEqual(Set(Self.drawing.filter { !$0.mutates }.map(\.name.description)), Set(Self.calls.keys))
    for target in Self.drawing {
      guard let arguments = Self.calls[target.name.description] else { continue }
      try assertDrawsAsEagerly("\(target.name)") { p in
        // With a draw before and one behind, of an odd number of elements.
        let before = try Tensor.rand([3])
        return try [before] + target.call(arguments(p)).references + [Tensor.randn([5])]
      }
    }
  }

  func testEveryOperatorThatDrawsInPlace() throws {
    for target in Self.drawing {
      guard let inPlace = target.inPlaceVariantDefinition, let arguments = Self.calls[target.name.description] else {
        continue
      }
      try assertDrawsAsEagerly("\(inPlace.name)") { p in
        let view = try p.t()
        _ = try inPlace.call([.reference(view)] + arguments(view.clone()).dropFirst())
        return try [p, Tensor.rand([3])]
      }
    }
  }

  func testDrawsKeepTheirPlacesWhereNothingUsesThem() throws {
    try assertDrawsAsEagerly("unused and reordered") { p in
      let first = try Tensor.rand([3, 5])
      _ = try Tensor.randn([7])
      let second = try p.dropout(0.5, isTraining: true)
      _ = try p.randLike().sum()
      return [try second * 2, try first + Tensor.rand([3, 5])]
    }
  }

  func testDecompositionsDrawTheNumbersOfTheirCall() throws {
    let body: (Tensor) throws -> [Tensor] = { p in
      let kept = try OperatorLibrary.bernoulli(.reference(p), .double(0.4))
      return try [kept, p.randnLike(), p.detach().uniform_(from: -1, to: 1), Tensor.rand([3])]
    }
    let function = aotFunction(configuration: AOTConfiguration(decompositions: .primitives), body)
    let (got, eager) = (try drawn { try function($0) }, try drawn(body))
    for (got, eager) in zip(got, eager) {
      for (a, b) in zip(got, eager) { XCTAssertEqual(a, b, accuracy: 1e-6) }
    }
    let calls = Set(
      try function.stages(probabilities()).forward.description.matches(of: /philox\.\w+/).map { "\($0.0)" })
    XCTAssertEqual(calls, ["philox.rand", "philox.randn"])
  }

  func testEqualDrawsAreNotOne() throws {
    let function = aotFunction { (x: Tensor) in
      [try x.dropout(0.5, isTraining: true), try x.dropout(0.5, isTraining: true)]
    }
    let results = try function(Tensor.ones([64])).map(CallRecord.values)
    XCTAssertNotEqual(results[0], results[1])
  }

  func testGradientsUseTheNumbersOfTheirOwnCall() throws {
    func run(_ function: (Tensor) throws -> Tensor) throws -> [[Double]] {
      let x = try probabilities().requiringGrad()
      manualSeed(7)
      let (first, second) = (try function(x), try function(x))
      try first.backward(gradient: first.onesLike())
      return try [first, second, XCTUnwrap(x.grad)].map(CallRecord.values)
    }
    func block(_ x: Tensor) throws -> Tensor {
      try (x.exp().dropout(0.5, isTraining: true) * x.randnLike()).tanh().dropout(0.25, isTraining: true)
    }
    let eager = try run(block)
    let checkpointed: (Tensor) throws -> Tensor = { x in try checkpoint { try block(x) } }
    XCTAssertEqual(try run(checkpointed), eager)
    for (name, configuration) in comparedConfigurations {
      for body in [block, checkpointed] {
        let function = aotFunction(configuration: configuration, body)
        for (got, want) in zip(try run { try function($0) }, eager) {
          for (a, b) in zip(got, want) { XCTAssertEqual(a, b, accuracy: 1e-6, name) }
        }
      }
      let stages = try aotFunction(configuration: configuration, checkpointed).stages(probabilities().requiringGrad())
      XCTAssertEqual(stages.savedByteCount, 0, "masks are drawn again: \(name)")
    }
  }

  func testNumbersAreDrawnAgainAndMasksAreKept() throws {
    func savedByteCount(_ body: @escaping (Tensor) throws -> Tensor) throws -> Int {
      try aotFunction(body).stages(probabilities().requiringGrad()).savedByteCount
    }
    XCTAssertEqual(try savedByteCount { x in try x * x * x.randnLike() }, 0)
    XCTAssertEqual(try savedByteCount { x in try x.dropout(0.5, isTraining: true) }, 15)
  }

  func testOnlyGraphsThatDrawTakeAKey() throws {
    let x = try probabilities()
    XCTAssertFalse(try aotFunction { (x: Tensor) in try x.exp() }.stages(x).wrappers.contains("functionalized RNG"))
    let stages = try aotFunction { (x: Tensor) in try x.exp().dropout(0.5, isTraining: true) }.stages(x)
    XCTAssertTrue(stages.wrappers.contains("functionalized RNG"))
    let descriptors = stages.functional.placeholders.map { stages.functional[metadata: $0].descriptor }
    XCTAssertEqual(descriptors, [.input(0), .randomKey, .randomCounter])
  }

  func testDrawsThatNobodyCountsStayInOrder() throws {
    let noise = OperatorDefinition(
      "mylib::noise(Tensor self) -> Tensor", traits: .random,
      .host(
        shape: { [TensorMeta(dtype: .float32, sizes: try $0.tensor(0).sizes)] },
        body: { call, results in try results[0].copy_(Tensor.randn(call.tensor(0).shape)) })
    ).notDifferentiable()
    try assertDrawsAsEagerly("mylib::noise") { p in
      [try Tensor.rand([3]), try noise(.reference(p)), try p.dropout(0.5, isTraining: true)]
    }
  }

  func testAGeneratorOfItsOwnIsRefused() throws {
    let generator = Generator(seed: 1)
    let function = aotFunction { (x: Tensor) in try x + Tensor.rand([3, 5], generator: generator) }
    XCTAssertThrowsError(try function(probabilities())) { XCTAssertEqual(($0 as? CaptureError)?.code, .unsupported) }
    let inside = aotFunction { (x: Tensor) in try x.dropout(0.5, isTraining: true) }
    XCTAssertEqual(
      CallRecord.values(try generator.use { try inside(probabilities()) }),
      CallRecord.values(try Generator(seed: 1).use { try probabilities().dropout(0.5, isTraining: true) }))
  }
}
