import AOTAutograd
import XCTest

/// Compiled calls do what eager ones do: writes, aliasing, identity and gradients included.
final class CompiledSemanticsTests: XCTestCase {
  // MARK: - Writes

  func testWritesToInputs() throws {
    try assertCompiledAgrees({ [try wave([4])] }) { x in
      try x[0].add_(1).mul_(2)
      return [try x[0].sum()]
    }
    try assertCompiledAgrees({ [try wave([4]), try wave([4], requiresGrad: true)] }) { x in
      try x[0].mul_(x[1])
      return [try x[0].tanh()]
    }
    try assertCompiledAgrees({ [try wave([2, 2], requiresGrad: true).mul(1)] }) { x in
      try x[0].mul_(3)
      return [try x[0] * x[0]]
    }
    try assertCompiledAgrees({ [try wave([2, 2]), try wave([2, 2], requiresGrad: true)] }) { x in
      try x[0].copy_(x[1])
      return []
    }
  }

  func testWritesToViewsOfInputs() throws {
    try assertCompiledAgrees({ [try wave([3, 4]), try wave([4], requiresGrad: true)] }) { x in
      try x[0][1].mul_(x[1])
      return [try x[0].sum([0])]
    }
    try assertCompiledAgrees({ [try wave([3, 4]), try wave([3], requiresGrad: true)] }) { x in
      try x[0].t().slice(0, from: 1, to: 4, step: 2)[1].add_(x[1])
      return [try x[0].exp()]
    }
    try assertCompiledAgrees({ [try wave([3, 4], requiresGrad: true) * 2, try wave([2])] }) { x in
      try x[0].view([2, 6])[1].view([3, 2])[0..<2].select(0, 1).copy_(x[1])
      return [try x[0] * 3]
    }
    try assertCompiledAgrees({ [try wave([3, 3])] }) { x in
      try x[0].diagonal().fill_(7)
      return [try x[0].diagonal()]
    }
  }

  func testSliceAssignmentToIntermediates() throws {
    try assertCompiledAgrees({ [try wave([4, 3], requiresGrad: true), try wave([3], from: 1, requiresGrad: true)] }) {
      x in
      let padded = try Tensor.zeros([6, 3])
      try padded[1..<5].copy_(x[0])
      try padded[5].copy_(x[1])
      return [try padded.tanh()]
    }
    try assertCompiledAgrees({ [try wave([4, 3], requiresGrad: true)] }) { x in
      let y = try x[0] * 2
      let row = try y[1]
      try row.mul_(row)
      try y[0..<2].add_(x[0][2..<4])
      return [y, row]
    }
  }

  func testWritesUnderNoGradAndThroughDetach() throws {
    try assertCompiledAgrees({ [try wave([4], requiresGrad: true)] }) { x in
      let y = try (x[0] + 1).exp()
      try noGrad { _ = try x[0].add_(1) }
      return [y]
    }
    try assertCompiledAgrees({ [try wave([4]), try wave([4], requiresGrad: true)] }) { x in
      try x[0].detach().mul_(2)
      return [try x[0] * x[1]]
    }
    try assertCompiledAgrees({ [try wave([4], requiresGrad: true)] }) { x in
      let y = try x[0] * 2
      try y.detach().mul_(5)
      return [try y + 1]
    }
  }

  func testBuffersLikeARunningMean() throws {
    try assertCompiledAgrees({ [try wave([5, 3], requiresGrad: true), try wave([3], from: 1)] }) { x in
      let mean = try x[0].mean([0])
      try noGrad { _ = try x[1].mul_(0.9).add_(mean.detach(), alpha: 0.1) }
      return [try (x[0] - mean).tanh(), try x[0] - x[1]]
    }
  }

  func testALeafThatIsWrittenIsRefusedAsEagerlyIs() throws {
    try assertCompiledAgrees({ [try wave([4]), try wave([4], requiresGrad: true)] }) { x in
      try x[0].add_(1)
      try x[1].add_(1)
      return [try x[0] * x[1]]
    }
    try assertCompiledAgrees({ [try wave([4]), try wave([4], requiresGrad: true)] }) { x in
      try x[0].add_(1)
      try x[1][0..<2].mul_(2)
      return [try x[0] * x[1]]
    }
  }

  // MARK: - Results

  func testResultsThatAreInputsOrViewsOfThem() throws {
    for requiresGrad in [false, true] {
      try assertCompiledAgrees({ [try wave([2, 3], requiresGrad: requiresGrad)] }) { x in [x[0]] }
      try assertCompiledAgrees({ [try wave([2, 3], requiresGrad: requiresGrad)] }) { x in
        [try x[0].t(), try x[0][1], try x[0].view([6])[2..<5], try x[0].detach(), x[0], try x[0].expand([4, 2, 3])]
      }
      try assertCompiledAgrees({ [try wave([2, 3], requiresGrad: requiresGrad) * 2] }) { x in
        let view = try x[0].t()
        return [view, view, try view[0], try x[0].contiguous(), try x[0].reshape([3, 2])]
      }
    }
  }

  func testResultsThatAreViewsOfOneIntermediate() throws {
    for requiresGrad in [false, true] {
      try assertCompiledAgrees({ [try wave([2, 3], requiresGrad: requiresGrad)] }) { x in
        let y = try x[0] * 2
        return [try y.t(), try y[0]]
      }
      try assertCompiledAgrees({ [try wave([2, 3], requiresGrad: requiresGrad)] }) { x in
        let y = try x[0] * 2
        return [try y.t(), y, try y.view([6])[1..<3], y]
      }
      try assertCompiledAgrees({ [try wave([2, 3], requiresGrad: requiresGrad)] }) { x in
        let y = try x[0].exp()
        return [try y.detach(), y, try y.detach().t(), try noGrad { try y * 2 }]
      }
      try assertCompiledAgrees({ [try wave([2, 6], requiresGrad: requiresGrad)] }) { x in
        try (x[0] + 1).split(2, dimension: 1)
      }
      try assertCompiledAgrees({ [try wave([2, 6], requiresGrad: requiresGrad)] }) { x in try x[0].unbind() }
    }
  }

  func testWritingToResultsAfterwardsReachesWhatSharesTheirMemory() throws {
    try assertCompiledAgrees({ [try wave([2, 3], requiresGrad: true)] }) { x in [try x[0] * 1] }
    for (name, configuration) in comparedConfigurations {
      func run(_ function: ([Tensor]) throws -> [Tensor]) throws -> [[Double]] {
        let x = try wave([2, 3], requiresGrad: true)
        let results = try function([x])
        try results[1].mul_(3)
        try results[0].add_(results[2])
        try (results[0].sum() + results[1].square().sum()).backward()
        return try ([XCTUnwrap(x.grad)] + results).map(CallRecord.values)
      }
      let body = { (x: [Tensor]) in
        let y = try x[0] * 2
        return [y, try y[1], try x[0].exp()]
      }
      let function = aotFunction(configuration: configuration) { (x: [Tensor]) in try body(x) }
      XCTAssertEqual(try run { try function($0) }, try run(body), name)
    }
  }

  func testIntegerResultsAndUnusedInputs() throws {
    try assertCompiledAgrees({ [try wave([3, 4], requiresGrad: true), try wave([2], requiresGrad: true)] }) { x in
      let best = try x[0].max(1)
      return [try x[0].argmax(1), best.values, best.indices, try x[0] .> 0]
    }
    try assertCompiledAgrees({ [try Tensor([3, 1, 2] as [Int64]), try wave([2])] }) { x in [try x[0] * 2] }
    try assertCompiledAgrees({ [try wave([3])] }) { _ in [] }
    try assertCompiledAgrees({ [try wave([3], requiresGrad: true)] }) { _ in
      [try Tensor([1, 2] as [Float]), try Tensor.ones([2])]
    }
  }

  // MARK: - Inputs

  func testTheSameTensorTwiceAndOverlappingInputs() throws {
    try assertCompiledAgrees({
      let x = try wave([3], requiresGrad: true)
      return [x, x]
    }) { x in [try x[0] * x[1].exp()] }
    try assertCompiledAgrees({
      let x = try wave([3])
      return [x, x]
    }) { x in
      try x[0].add_(1)
      return [try x[1] * 2, x[1]]
    }
    try assertCompiledAgrees({
      let x = try wave([4])
      return [try x[0..<2], try x[1..<3]]
    }) { x in [try x[0] * x[1]] }
    try assertCompiledAgrees({
      let x = try wave([4], requiresGrad: true)
      return CallArguments([try x[0..<2], try x[1..<3]], behind: [x])
    }) { x in [try x[0] * x[1]] }
  }

  func testOverlappingInputsThatAreWrittenToAreRightOrRefused() throws {
    for (name, configuration) in comparedConfigurations {
      let body = { (a: Tensor, b: Tensor) in
        try a.mul_(10)
        return try a + b
      }
      let function = aotFunction(configuration: configuration) { (a: Tensor, b: Tensor) in try body(a, b) }
      let (x, eager) = (try wave([4]), try wave([4]))
      let before = (try x.elements(as: Float.self), x.storage.version)
      do {
        let result = try function(x[0..<2], x[1..<3])
        XCTAssertEqual(CallRecord.values(result), CallRecord.values(try body(eager[0..<2], eager[1..<3])), name)
        XCTAssertEqual(CallRecord.values(x), CallRecord.values(eager), name)
      } catch {
        XCTAssertEqual(try x.elements(as: Float.self), before.0, name)
        XCTAssertEqual(x.storage.version, before.1, name)
      }
    }
  }

  func testInputsThatAreNotContiguousStartInsideOrAreExpanded() throws {
    let body = { (x: [Tensor]) in [try x[0] * 2 + x[1], try x[0].t(), try x[0].matmul(x[1].t()).tanh()] }
    try assertCompiledAgrees({
      [try wave([4, 3]).t().requiringGrad(), try wave([5, 4])[2..<5].requiringGrad()]
    }) { x in try body(x) }
    try assertCompiledAgrees({
      let (a, b) = (try wave([4], requiresGrad: true), try wave([3, 1], requiresGrad: true))
      return CallArguments([try a.expand([3, 4]), try b.expand([3, 4])], behind: [a, b])
    }) { x in try body(x) }
    try assertCompiledAgrees({ [try wave([6, 8]).slice(1, from: 1, to: 8, step: 2)[1..<4], try wave([3, 4])] }) { x in
      try x[0].add_(x[1])
      return try body(x)
    }
    try assertCompiledAgrees({ [try wave([4, 3]).t(), try wave([3, 4])] }) { x in
      try x[0][1].mul_(x[1][2])
      return try body(x)
    }
  }

  func testFiftyInputs() throws {
    try assertCompiledAgrees({
      CallArguments(try (0..<50).map { try wave([3], from: Double($0), requiresGrad: $0 % 3 == 0) })
    }) { x in
      try x[1].add_(x[2])
      return [try x.dropFirst().reduce(x[0]) { try $0 * 0.5 + $1.tanh() }, try Tensor.cat(x)]
    }
  }

  // MARK: - Gradients

  func testResultsUsedTwiceOrNotAtAll() throws {
    for (name, configuration) in comparedConfigurations {
      func run(_ function: (Tensor, Tensor) throws -> (Tensor, Tensor, Tensor)) throws -> [[Double]] {
        let (x, w) = (try wave([2, 3], requiresGrad: true), try wave([3, 2], requiresGrad: true))
        let (a, b, _) = try function(x, w)
        try (a * a).sum().backward(retainGraph: true)
        let first = CallRecord.values(try XCTUnwrap(x.grad))
        try (a.sum() + b.mean()).backward(retainGraph: true)
        try (b * 2).t().sum().backward()
        let (c, _, _) = try function(x, w)
        try c.expand([3, 2, 2]).sum().backward()
        return [first] + (try [XCTUnwrap(x.grad), XCTUnwrap(w.grad)]).map(CallRecord.values)
      }
      let body = { (x: Tensor, w: Tensor) in
        (try x.matmul(w).tanh(), try x.exp() * x, try w.sin())
      }
      let function = aotFunction(configuration: configuration) { (x: Tensor, w: Tensor) in try body(x, w) }
      for (got, want) in zip(try run { try function($0, $1) }, try run(body)) {
        for (a, b) in zip(got, want) { XCTAssertEqual(a, b, accuracy: 1e-5, name) }
      }
    }
  }

  func testTangentsThatAreExpandedOrTransposed() throws {
    let tangents: [(Tensor) throws -> Tensor] = [
      { try Tensor([0.5] as [Float]).expand($0.shape) }, { try wave($0.shape.reversed()).t() },
      { try wave([7, 6]).slice(0, from: 1, to: 1 + $0.shape[0]).slice(1, from: 2, to: 2 + $0.shape[1]) },
      { try wave($0.shape) },
    ]
    for tangent in tangents {
      try assertCompiledAgrees({ [try wave([3, 4], requiresGrad: true)] }, backward: tangent) { x in
        [try x[0].tanh() * x[0], try x[0].exp().t().contiguous().t()]
      }
    }
  }

  func testFirstUnusedThenUsedGradients() throws {
    try assertCompiledAgrees({ [try wave([3], requiresGrad: true), try wave([3], requiresGrad: true)] }) { x in
      [try x[0].exp(), try x[1].detach().exp()]
    }
    try assertCompiledAgrees(
      { [try wave([3], requiresGrad: true), try wave([2], requiresGrad: true)] },
      backward: { $0.shape == [3] ? try wave([3]) : nil }
    ) { x in [try x[0].exp(), try x[1].exp()] }
  }

  func testGradientOfALeafThatIsSetFreeAndAskedForAgain() throws {
    let function = aotFunction { (x: Tensor) in try x * x }
    let x = try wave([3])
    XCTAssertFalse(try function(x).requiresGrad)
    try x.setRequiresGrad(true)
    let y = try function(x)
    XCTAssertTrue(y.requiresGrad)
    try y.sum().backward()
    XCTAssertEqual(CallRecord.values(try XCTUnwrap(x.grad)), CallRecord.values(x).map { 2 * $0 })
    XCTAssertFalse(try noGrad { try function(x) }.requiresGrad)
    XCTAssertEqual(function.entryCount, 3)
    XCTAssertTrue(try function(x).requiresGrad)
    XCTAssertFalse(try noGrad { try function(x) }.requiresGrad)
    XCTAssertEqual(function.entryCount, 3)
    XCTAssertEqual(try function(x.detach().to(.float64)).dtype, .float64)
    XCTAssertEqual(try function(Tensor([3] as [Int64])).elements(as: Int64.self), [9])
    XCTAssertEqual(function.entryCount, 5)
  }
}
