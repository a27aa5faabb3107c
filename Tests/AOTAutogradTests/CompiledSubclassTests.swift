import AOTAutograd
import AOTAutogradTesting
import XCTest

/// Compiled functions of wrapper tensors do what eager ones do.
final class CompiledSubclassTests: XCTestCase {
  private func pair(_ shape: [Int], from start: Double = 0, requiresGrad: Bool = false) throws -> Tensor {
    let pair = try Tensor(wrapping: TwoTensor(wave(shape, from: start), wave(shape, from: start + 0.4)))
    return requiresGrad ? try pair.requiringGrad() : pair
  }

  private func nested(_ shape: [Int], requiresGrad: Bool = false) throws -> Tensor {
    let nested = try Tensor(wrapping: TwoTensor(pair(shape), pair(shape, from: 1)))
    return requiresGrad ? try nested.requiringGrad() : nested
  }

  // MARK: - Values and gradients

  func testGradientsOfBothInnerTensors() throws {
    try assertCompiledAgrees({ [try self.pair([2, 3], requiresGrad: true)] }) { x in [try x[0].tanh() * x[0]] }
    try assertCompiledAgrees({
      [try self.pair([2, 3], requiresGrad: true), try self.pair([3, 2], requiresGrad: true)]
    }) {
      x in [try x[0].matmul(x[1]).relu(), try x[0].sum()]
    }
  }

  func testGradientOfAnOrdinaryTensorIsOfTheSubclass() throws {
    try assertCompiledAgrees({ [try wave([2, 3], requiresGrad: true), try self.pair([3, 2], requiresGrad: true)] }) {
      x in [try x[0].matmul(x[1]).relu()]
    }
    try assertCompiledAgrees({ [try self.pair([2, 3], requiresGrad: true), try wave([2, 3], requiresGrad: true)] }) {
      x in
      [try (x[0] * 2) / (x[1] + 3.0), try x[1] + x[1]]
    }
  }

  func testResultsThatNeedNoGradient() throws {
    try assertCompiledAgrees({ [try self.pair([3], requiresGrad: true), try self.pair([3], requiresGrad: true)] }) {
      x in
      [try x[0].detach() * 2, try x[0] * 3]
    }
    try assertCompiledAgrees({ [try self.pair([2, 3]), try wave([2, 3])] }) { x in [try x[0] + x[1], try x[1] * 2] }
  }

  func testSeveralResultsOfOneCall() throws {
    try assertCompiledAgrees({ [try self.pair([4, 3], requiresGrad: true)] }) { x in
      let parts = try x[0].split(2)
      let (values, indices) = try x[0].max(1)
      return [try parts[0] * parts[1], values, indices]
    }
  }

  func testNesting() throws {
    try assertCompiledAgrees({
      [try self.nested([2, 2], requiresGrad: true), try self.pair([2, 2], requiresGrad: true)]
    }) {
      x in [try (x[0] * 2).sigmoid().matmul(x[0])]
    }
    try assertCompiledAgrees({ [try self.nested([2, 2], requiresGrad: true)] }) { x in
      [try x[0].t().exp(), try x[0].view([4])]
    }
  }

  func testTwoOutputsFromOneIntermediate() throws {
    try assertCompiledAgrees({ [try self.pair([2, 2], requiresGrad: true)] }) { x in
      let doubled = try x[0] * 2
      return [try doubled.t(), try doubled.sum([0]), doubled]
    }
  }

  func testClosedOverAndConstantPairs() throws {
    let weight = try pair([3, 2], requiresGrad: true)
    try assertCompiledAgrees({ CallArguments([try wave([2, 3], requiresGrad: true)]) }) { x in [try x[0].matmul(weight)]
    }
    try assertCompiledAgrees({ [try self.pair([2], requiresGrad: true)] }) { x in
      [try x[0] * Tensor(wrapping: TwoTensor(Tensor([1, 2] as [Float]), Tensor([3, 4] as [Float])))]
    }
  }

  // MARK: - Writes

  func testWritesWithoutGradients() throws {
    try assertCompiledAgrees({ [try self.pair([3]), try wave([3])] }) { x in
      try x[0].mul_(2)
      return [try x[0] + x[1]]
    }
    try assertCompiledAgrees({ [try self.pair([3, 2])] }) { x in
      try x[0][1].copy_(x[0][0])
      return [x[0]]
    }
  }

  func testWritesThatGradientsFollow() throws {
    let arguments = {
      let (plain, pair) = (try wave([3, 3], requiresGrad: true), try self.pair([3, 3], requiresGrad: true))
      return CallArguments([try plain.clone(), try pair + 1.0], behind: [plain, pair])
    }
    try assertCompiledAgrees(arguments) { x in
      try x[0].mul_(2)
      try x[1].mul_(3)
      return [try x[0] + x[1]]
    }
    try assertCompiledAgrees({
      let leaf = try self.pair([2, 2], requiresGrad: true)
      return CallArguments([try self.pair([2, 2]), leaf])
    }) { x in
      try x[0].t().mul_(x[1])
      return []
    }
  }

  func testWithoutRecording() throws {
    try assertCompiledAgrees({ [try self.pair([3], requiresGrad: true)] }, backward: nil) { x in
      try noGrad { [try x[0].mul_(2), try x[0] + 1] }
    }
    let function = aotFunction { (x: Tensor) in try x * 2 }
    let result = try inferenceMode { try function(pair([3])) }
    XCTAssertTrue(result.isInference)
    XCTAssertThrowsError(try result.add_(1))
  }

  func testLayoutChanges() throws {
    try assertCompiledAgrees({ [try self.pair([3, 2])] }) { x in
      try x[0].t_()
      return [try x[0] * 2]
    }
  }

  func testWritesThatAreRefused() throws {
    try assertCompiledAgrees({ [try self.pair([3], requiresGrad: true)] }) { x in [try x[0].mul_(2)] }
    try assertCompiledAgrees({ [try wave([3]), try self.pair([3])] }) { x in [try x[0].mul_(x[1])] }
  }

  // MARK: - Aliasing

  func testViewsAndIdentity() throws {
    try assertCompiledAgrees({ [try wave([3, 3], requiresGrad: true), try self.pair([3, 3], requiresGrad: true)] }) {
      x in
      [try x[1].view([9]), try x[0] * x[1]]
    }
    try assertCompiledAgrees({ [try self.pair([3, 2])] }) { x in [x[0], try x[0].t()[1], try x[0].detach()] }
  }

  func testWritesToViewsOfOnePair() throws {
    try assertCompiledAgrees({
      let pair = try self.pair([3, 2])
      return [try pair[0], try pair.t(), try wave([2])]
    }) { x in
      try x[0].mul_(3)
      return [try x[1] * 2, try x[1].sum([1]) + x[2]]
    }
    try assertCompiledAgrees({
      let leaf = try self.pair([3, 2], requiresGrad: true)
      let pair = try leaf * 1
      return CallArguments([try pair[0], try pair[1]], behind: [leaf])
    }) { x in
      try x[0].mul_(x[1])
      return [try x[0] + x[1]]
    }
    try assertCompiledAgrees({
      let pair = try self.pair([3])
      return [pair, try pair.view([3, 1])]
    }) { x in
      try x[1].zero_()
      return [x[0]]
    }
  }

  func testTheSamePairTwice() throws {
    try assertCompiledAgrees({
      let pair = try self.pair([3], requiresGrad: true)
      return [pair, pair]
    }) { x in [try x[0] * x[1]] }
  }

  func testInnerMemoryThatTwoInputsShare() throws {
    let function = aotFunction { (x: Tensor, y: Tensor) in
      try x.mul_(2)
      return try x + y
    }
    let a = try wave([3])
    let pair = try Tensor(wrapping: TwoTensor(a, wave([3])))
    _ = try function(wave([3]), wave([3]))
    _ = try function(wave([3]), Tensor(wrapping: TwoTensor(wave([3]), wave([3]))))
    XCTAssertThrowsError(try function(a, pair)) { XCTAssertEqual(($0 as? AOTError)?.code, .unsupported) }
    XCTAssertEqual(a.storage.version, 0)
    let reading = aotFunction { (x: Tensor, y: Tensor) in try x + y }
    XCTAssertEqual(
      CallRecord.values(try reading(a, pair)), CallRecord.values(try a + pair))
  }

  // MARK: - Guards

  func testOtherStructureCompilesAnew() throws {
    let function = aotFunction { (x: Tensor) in try x * 2 }
    for (tensor, entries) in [
      (try wave([2, 2]), 1), (try pair([2, 2]), 2), (try pair([2, 2], from: 1), 2), (try nested([2, 2]), 3),
      (try Tensor(wrapping: TwoTensor(wave([2, 2]), wave([2, 2]).t())), 4), (try wave([2, 2], from: 2), 4),
      (try wave([2, 2]).quantizedInt8(axis: 0), 5), (try wave([2, 2]).quantizedInt8(axis: 1), 6),
    ] {
      XCTAssertEqual(CallRecord.values(try function(tensor)), CallRecord.values(try tensor * 2))
      XCTAssertEqual(function.entryCount, entries)
    }
  }

  func testEachInnerTensorDrawsItsOwnNumbers() throws {
    func drawn(_ function: (Tensor) throws -> Tensor) throws -> [Double] {
      manualSeed(11)
      return try CallRecord.values(function(pair([4], requiresGrad: true))) + CallRecord.values(Tensor.rand([2]))
    }
    let body: (Tensor) throws -> Tensor = { x in try x.dropout(0.5, isTraining: true) + x.randLike() }
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration, body)
      XCTAssertEqual(try drawn { try function($0) }, try drawn(body), name)
    }
  }

  func testWhatIsRefused() throws {
    let function = aotFunction { (x: Tensor) in try x * x }
    let hooks = SavedTensorHooks {
      [$0]
    } unpack: {
      $0[0]
    }
    try hooks.use { () throws in
      XCTAssertThrowsError(try function(pair([2], requiresGrad: true))) {
        XCTAssertEqual(($0 as? AOTError)?.code, .unsupported)
      }
    }
    let x = try pair([2], requiresGrad: true)
    XCTAssertThrowsError(try grad(of: function(x), with: x, gradient: pair([2]), createGraph: true)) {
      XCTAssertEqual(($0 as? AutogradError)?.code, .notDifferentiable)
    }
    XCTAssertThrowsError(try pair([2]).set_(wave([2])))
  }

  func testChecksAtRunTime() throws {
    let function = aotFunction(configuration: .init(debugAssertions: true)) { (x: Tensor, y: Tensor) in
      try y.mul_(2)
      return [try x.t(), try x * y]
    }
    let results = try function(pair([2, 2], requiresGrad: true), pair([2, 2]))
    XCTAssertNotNil(results[1].unwrapped(as: TwoTensor.self))
  }

  func testGraphsAreOfInnerTensors() throws {
    let function = aotFunction { (x: Tensor) in try x.tanh() }
    let stages = try function.stages(pair([2], requiresGrad: true))
    XCTAssertEqual(stages.forward.placeholders.map { stages.forward[$0].name }, ["primals_1_a", "primals_1_b"])
    XCTAssertEqual(stages.captured.placeholders.count, 1)
    XCTAssertTrue(stages.wrappers.contains("subclass"))
    XCTAssertEqual(stages.savedByteCount, 2 * 2 * 4)
    XCTAssertFalse(try function.stages(wave([2], requiresGrad: true)).wrappers.contains("subclass"))
  }

  // MARK: - Tangents of another structure

  func testTangentsOfAnotherStructure() throws {
    let plain: (Tensor) throws -> Tensor? = { try wave($0.shape) }
    try assertCompiledAgrees({ [try self.pair([3], requiresGrad: true)] }, backward: plain) { x in [try x[0] * x[0]] }
    let mixed: (Tensor) throws -> Tensor? = { $0.subclass == nil ? try self.pair($0.shape) : try wave($0.shape) }
    try assertCompiledAgrees(
      { [try wave([3], requiresGrad: true), try self.pair([3], requiresGrad: true)] }, backward: mixed
    ) { x in [try x[0] * 2, try x[0] * x[1]] }
  }

  func testResultsWithoutATangent() throws {
    try assertCompiledAgrees(
      { [try self.pair([3], requiresGrad: true), try self.pair([3], requiresGrad: true)] },
      backward: { $0.rank == 1 ? try CallRecord.weights($0) : nil }
    ) { x in [try x[0] * x[1], try x[1].sum()] }
  }

  // MARK: - Errors

  func testInnerTensorsInsideACapturedFunction() throws {
    let inner = aotFunction { (x: Tensor) in try XCTUnwrap(x.unwrapped(as: TwoTensor.self)).a * 2 }
    XCTAssertThrowsError(try inner(pair([2]))) { XCTAssertEqual(($0 as? CaptureError)?.code, .foreignTensor) }
    let wrapping = aotFunction { (x: Tensor) in try Tensor(wrapping: TwoTensor(x, x)) * 2 }
    XCTAssertThrowsError(try wrapping(wave([2]))) { XCTAssertEqual(($0 as? CaptureError)?.code, .foreignTensor) }
    let outside = try wave([2])
    let closing = aotFunction { (x: Tensor) in try x * Tensor(wrapping: TwoTensor(outside, outside)) }
    XCTAssertThrowsError(try closing(wave([2]))) { XCTAssertEqual(($0 as? CaptureError)?.code, .unsupported) }
  }
}
