import AOTAutograd
import XCTest

/// Wrong uses give readable errors, and change nothing: no element, version, gradient or entry.
final class BadInputTests: XCTestCase {
  private struct Failure: Error {}

  /// Calls `body`, which must throw an error whose text has all of `words`, and leave `tensors` as they were.
  private func assertThrows(
    _ words: String..., keeping tensors: [Tensor] = [], line: UInt = #line, _ body: () throws -> Any
  ) {
    let before = tensors.map { (CallRecord.values($0), $0.storage.version, $0.shape, $0.grad.map(CallRecord.values)) }
    XCTAssertThrowsError(try body(), line: line) { error in
      for word in words where !"\(error)".contains(word) { XCTFail("'\(error)' lacks '\(word)'", line: line) }
    }
    for (tensor, old) in zip(tensors, before) {
      XCTAssertEqual(CallRecord.values(tensor), old.0, line: line)
      XCTAssertEqual(tensor.storage.version, old.1, line: line)
      XCTAssertEqual(tensor.shape, old.2, line: line)
      XCTAssertEqual(tensor.grad.map(CallRecord.values), old.3, line: line)
    }
  }

  /// As above, eagerly and in a compiled function, which must have no entry afterwards.
  ///
  /// - Parameter namesLine: Whether the error tells the line of the call. Looking lines up takes long; once is enough.
  private func assertRefused(
    _ words: String..., arguments: [Tensor], namesLine: Bool = true, line: UInt = #line,
    _ body: @escaping ([Tensor]) throws -> Tensor
  ) {
    let before = arguments.map { (CallRecord.values($0), $0.storage.version) }
    let function = aotFunction { (tensors: [Tensor]) in try body(tensors) }
    XCTAssertThrowsError(try body(arguments), line: line)
    XCTAssertThrowsError(try function(arguments), line: line) { error in
      let text = "\(error)"
      for word in words + (namesLine ? ["BadInputTests.swift"] : []) where !text.contains(word) {
        XCTFail("'\(text)' lacks '\(word)'", line: line)
      }
    }
    XCTAssertEqual(function.entryCount, 0, line: line)
    for (tensor, old) in zip(arguments, before) {
      XCTAssertEqual(CallRecord.values(tensor), old.0, line: line)
      XCTAssertEqual(tensor.storage.version, old.1, line: line)
    }
  }

  // MARK: - Arguments of operators

  func testShapesAndDimensions() throws {
    let (x, y) = (try wave([2, 3], requiresGrad: true), try wave([4, 5]))
    assertRefused("aten.add", "[2, 3]", "[4, 5]", arguments: [x, y]) { try $0[0] + $0[1] }
    assertRefused("aten.mm", "[2, 3]", "[4, 5]", arguments: [x, y]) { try $0[0].matmul($0[1]) }
    assertRefused("aten.cat", arguments: [x, y]) { try .cat([$0[0], $0[1]]) }
    assertRefused("aten.view", "6", "7", arguments: [x]) { try $0[0].view([7]) }
    assertRefused("aten.view", arguments: [x]) { try $0[0].t().view([6]) }
    assertRefused("aten.sum", "2", arguments: [x]) { try $0[0].sum([2]) }
    assertRefused("aten.select", "5", arguments: [x]) { try $0[0].select(1, 5) }
    assertRefused("aten.select", arguments: [x]) { try $0[0][9] }
    assertRefused("aten.permute", arguments: [x]) { try $0[0].permute([0, 0]) }
    assertRefused("aten.transpose", "-3", arguments: [x]) { try $0[0].transpose(0, -3) }
    assertRefused("aten.expand", arguments: [x]) { try $0[0].expand([2, 4]) }
    assertRefused("aten.split", arguments: [x]) { try $0[0].split(-1)[0] }
    assertRefused("aten.slice", arguments: [x]) { try $0[0].slice(0, step: 0) }
    assertRefused("aten.as_strided", arguments: [x]) { try $0[0].asStrided([100], [1]) }
    assertRefused("aten.unfold", arguments: [x]) { try $0[0].unfold(0, size: 9, step: 1) }
    assertRefused("conv", arguments: [x, y]) { try $0[0].conv2d($0[1]) }
    assertRefused("softmax", arguments: [x]) { try $0[0].softmax(7) }
  }

  func testDtypes() throws {
    let (x, y) = (try wave([2, 2]), try wave([2, 2]).to(.float64))
    let integers = try Tensor([1, 2, 3, 4] as [Int64], shape: [2, 2])
    assertRefused("aten.mm", "float32", "float64", arguments: [x, y]) { try $0[0].matmul($0[1]) }
    assertRefused("aten.add_", "int64", arguments: [integers]) { try $0[0].add_(0.5) }
    assertRefused("aten.embedding", "float32", arguments: [x, y]) { try $0[0].embedding($0[0]) }
    assertRefused("aten.bitwise_and", "float32", arguments: [x]) { try $0[0].bitwiseAnd($0[0]) }
    assertThrows("int64", keeping: [integers]) { try integers.requiringGrad() }
    assertThrows("float32", "float64", keeping: [x]) { try x.elements(as: Double.self) }
  }

  func testSizesThatNoMemoryHolds() throws {
    assertThrows { try Tensor([1] as [Float], shape: [-1]) }
    assertThrows("3", "[2, 2]") { try Tensor([1, 2, 3] as [Float], shape: [2, 2]) }
    assertThrows { try Tensor.zeros([-2, 3]) }
    assertThrows { try Tensor.zeros([.max, .max]) }
    assertThrows { try Tensor.zeros([1 << 60]) }
    assertThrows { try Tensor.ones([1 << 40, 1 << 30, 1 << 20]) }
    let x = try wave([2])
    assertRefused(arguments: [x], namesLine: false) { try $0[0].repeated([1 << 62]) }
    assertRefused(arguments: [x], namesLine: false) { try $0[0].pad([1 << 62, 1 << 62]) }
    assertRefused(arguments: [x], namesLine: false) { try $0[0].pad([-5, 0]) }
    assertRefused(arguments: [x], namesLine: false) { try $0[0].select(0, .max) }
    assertRefused(arguments: [x], namesLine: false) { try $0[0].select(.min, .min) }
    assertRefused(arguments: [x], namesLine: false) { try $0[0].view([.max, .max]) }
    assertRefused(arguments: [x], namesLine: false) { try $0[0].asStrided([.max], [.max]) }
    assertRefused(arguments: [x], namesLine: false) { try $0[0].oneHot(.max) }
    assertRefused(arguments: [x], namesLine: false) { x in try Tensor.arange(Int.max) + x[0] }
    XCTAssertNoThrow(try x.slice(0, from: .min, to: .max).sum())
  }

  func testTensorsWithoutElements() throws {
    try assertCompiledAgrees({ [try wave([0, 3], requiresGrad: true), try wave([3], requiresGrad: true)] }) { x in
      [
        try x[0] * x[1], try x[0].sum(), try x[0].sum([0]), try x[0].t().matmul(x[0]), try x[0].view([3, 0]),
        try Tensor.cat([x[0], x[0]]), try x[0].softmax(1), try x[0].prod(),
      ]
    }
    try assertCompiledAgrees({ [try wave([0])] }) { x in
      try x[0].add_(1)
      return [x[0], try x[0].mean(), try x[0].cumsum(0), try x[0].sort().values]
    }
    let empty = try wave([2, 0])
    assertRefused("aten.amax", arguments: [empty]) { try $0[0].amax([1]) }
    assertRefused("aten.argmax", arguments: [empty]) { try $0[0].argmax(1) }
    assertRefused("aten.max", arguments: [empty]) { try $0[0].max() }
  }

  func testIndicesOutOfRangeAreFoundWhenACompiledFunctionRuns() throws {
    let table = try wave([3, 2], requiresGrad: true)
    let good = try Tensor([0, 2] as [Int64])
    for bad in try [Tensor([0, 3] as [Int64]), Tensor([-9, 0] as [Int64]), Tensor([.min, .max] as [Int64])] {
      let bodies: [(Tensor, Tensor) throws -> Tensor] = [
        { try $0.embedding($1) }, { try $0.gather(0, $1.view([2, 1])) }, { try $0.t().nllLoss($1) },
        { try $0.indexSelect(0, $1) }, { try $0.index([$1]) }, { try $0.scatterAdd(0, $1.view([2, 1]), $0[0..<2]) },
        { try $0.t().crossEntropyLoss($1) }, { try $1.oneHot(3) + $0[0][0] },
      ]
      for body in bodies {
        XCTAssertThrowsError(try body(table, bad))
        for (_, configuration) in comparedConfigurations.prefix(1) {
          let function = aotFunction(configuration: configuration) { (table: Tensor, indices: Tensor) in
            try body(table, indices)
          }
          assertThrows("out of range", keeping: [table, bad]) { try function(table, bad) }
          let (got, want) = (try function(table, good), try body(table, good))
          XCTAssertEqual(CallRecord.values(got), CallRecord.values(want))
          XCTAssertEqual(function.entryCount, 1)
        }
      }
    }
  }

  // MARK: - Autograd

  func testBackwardTwice() throws {
    for (_, configuration) in comparedConfigurations {
      let x = try wave([3], requiresGrad: true)
      let function = aotFunction(configuration: configuration) { (x: Tensor) in try x.exp().sum() }
      for loss in [try x.exp().sum(), try function(x)] {
        try loss.backward()
        assertThrows("retainGraph", keeping: [x, loss]) { try loss.backward() }
      }
    }
  }

  func testBackwardWithoutAGradient() throws {
    let x = try wave([3], requiresGrad: true)
    let y = try x.exp()
    assertThrows("[3]", keeping: [x, y]) { try y.backward() }
    assertThrows("[2]", "[3]", keeping: [x, y]) { try y.backward(gradient: wave([2])) }
    assertThrows("does not require a gradient", keeping: [x]) { try wave([]).backward() }
    assertThrows("not used", keeping: [x]) { try grad(of: y.sum(), with: wave([3], requiresGrad: true)) }
  }

  func testALeafGivenTwiceToBackward() throws {
    let x = try wave([2], requiresGrad: true)
    try backward([x, x], gradients: [Tensor([1, 2] as [Float]), Tensor([10, 20] as [Float])])
    XCTAssertEqual(try x.grad?.elements(as: Float.self), [11, 22])
  }

  func testWritesToLeaves() throws {
    let x = try wave([3], requiresGrad: true)
    assertRefused("aten.add_", "leaf", "noGrad", arguments: [x]) { try $0[0].add_(1) }
    assertRefused("aten.mul_", "leaf", "noGrad", arguments: [x]) { try $0[0][0..<2].mul_(2) }
    let view = try x[0..<2]
    assertRefused("aten.mul_", "leaf", arguments: [view]) { try $0[0].mul_(2) }
    let (plain, half) = (try wave([4]), try wave([3, 1], requiresGrad: true).select(1, 0))
    let function = aotFunction { (a: Tensor, b: Tensor) in
      try a.add_(1)
      return try b.mul_(2)
    }
    assertThrows("leaf", keeping: [plain, half]) { try function(plain, half) }
    let computed = try x * 1
    _ = try function(plain, computed)
    assertThrows("leaf", keeping: [plain, half]) { try function(plain, half) }
  }

  func testValuesThatBackwardNeedsAndThatWereOverwritten() throws {
    let x = try wave([3], requiresGrad: true)
    let y = try x * 2
    let z = try y.square().sum()
    try y.add_(1)
    assertThrows("aten", "in place", "version", keeping: [x, y]) { try z.backward() }
    for (_, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration) { (a: Tensor, b: Tensor) in try (a * b).sum() }
      let b = try wave([3])
      let loss = try function(x, b)
      try b.add_(1)
      assertThrows("in place", "version", "[3]", keeping: [x, b]) { try loss.backward() }
    }
  }

  func testSecondDerivativesOfAFunctionThatWroteToItsArgumentAreRefused() throws {
    let (x, buffer) = (try wave([3], requiresGrad: true), try wave([3]))
    let function = aotFunction { (x: Tensor, buffer: Tensor) in
      let loss = try (x * (buffer * 2)).exp().sum()
      try buffer.add_(1)
      return loss
    }
    let loss = try function(x, buffer)
    assertThrows("differentiated", keeping: [x]) { try grad(of: loss, with: x, createGraph: true) }
  }

  // MARK: - Closures

  func testClosuresThatReadElements() throws {
    let x = try wave([1], requiresGrad: true)
    for (_, configuration) in comparedConfigurations {
      let reading = aotFunction(configuration: configuration) { (x: Tensor) in
        try x.sum().item().doubleValue > 0 ? x : x.neg()
      }
      assertThrows("BadInputTests.swift", "captured", keeping: [x]) { try reading(x) }
      let listing = aotFunction(configuration: configuration) { (x: Tensor) in
        try x * Double(x.elements(as: Float.self)[0])
      }
      assertThrows("elements", keeping: [x]) { try listing(x) }
      let choosing = aotFunction(configuration: configuration) { (x: Tensor) in try x.maskedSelect(x .> 0) }
      assertThrows("BadInputTests.swift", "nonzero", keeping: [x]) { try choosing(x) }
      XCTAssertEqual(reading.entryCount + listing.entryCount + choosing.entryCount, 0)
    }
  }

  func testClosuresThatThrowLeaveNothingBehind() throws {
    let x = try wave([2])
    var fails = true
    let function = aotFunction { (x: Tensor) in
      try x.add_(1)
      setGradEnabled(false)
      if fails { throw Failure() }
      setGradEnabled(true)
      return x
    }
    assertThrows("Failure", keeping: [x]) { try function(x) }
    XCTAssertEqual(function.entryCount, 0)
    XCTAssertTrue(isGradEnabled)
    fails = false
    XCTAssertTrue(try function(x) === x)
  }

  func testResultsThatAreNoTensors() throws {
    struct Plain {}
    let x = try wave([2])
    let function = aotFunction { (x: Tensor) -> Plain in
      try x.add_(1)
      return Plain()
    }
    assertThrows("BadInputTests.swift", "Plain", "TensorTree", keeping: [x]) { try function(x) }
    XCTAssertEqual(function.entryCount, 0)
  }

  func testTooManySignatures() throws {
    let function = aotFunction(configuration: AOTConfiguration(maximumEntryCount: 2)) { (x: Tensor) in try x.add_(1) }
    _ = try (function(wave([1])), function(wave([2])))
    let x = try wave([3])
    assertThrows("BadInputTests.swift", "2 signatures", "[3]", keeping: [x]) { try function(x) }
    XCTAssertEqual(function.entryCount, 2)
    XCTAssertNoThrow(try function(wave([2])))
  }

  func testATensorThatLeftItsCapture() throws {
    var kept: Tensor?
    let function = aotFunction { (x: Tensor) in
      let y = try x * 2
      kept = y
      return try y + 1
    }
    let x = try wave([2])
    _ = try function(x)
    let fake = try XCTUnwrap(kept)
    assertThrows { try fake.elements(as: Float.self) }
    assertThrows { try fake.item() }
    let other = aotFunction { (x: Tensor) in try x + fake }
    assertThrows("another capture", keeping: [x]) { try other(x) }
    XCTAssertEqual(other.entryCount, 0)
  }

  func testMalformedGraphText() throws {
    let texts = [
      "", "graph", "graph(", "graph() {", "graph() {\n  return ()", "graph(x: f32[2]) {\n  return (y)\n}",
      "graph(x: f99[2]) {\n  return (x)\n}", "graph(x: f32[-2]) {\n  return (x)\n}",
      "graph(x: f32[2]) {\n  y: f32[2] = aten.nothing.default(x)\n  return (y)\n}",
      "graph(x: f32[2]) {\n  y: f32[2] = aten.add.Tensor(x\n  return (y)\n}",
      "graph(x: f32[99999999999999999999]) {\n  return (x)\n}", "graph(x: f32[2], x: f32[2]) {\n  return (x)\n}",
      "\u{0}\u{1F600}", String(repeating: "(", count: 5000),
    ]
    for text in texts {
      assertThrows { try Graph(parsing: text, operators: OperatorLibrary.table) }
    }
  }
}
