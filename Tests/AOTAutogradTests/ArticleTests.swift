import AOTAutograd
import XCTest

/// The snippets of the front door's articles, run. `ReadmeTests` checks that they are these.
final class ArticleTests: XCTestCase {
  func testMutationAndAliasing() throws {
    let update = aotFunction { (buffer: Tensor, x: Tensor) in
      try buffer.mul_(0.9).add_(x)
      return try buffer[0]
    }
    let buffer = try Tensor.zeros([2, 3])
    let row = try update(buffer, Tensor.ones([2, 3]))
    try row.zero_()  // row is a view of buffer, as it is eagerly: buffer's first row is zero now
    XCTAssertEqual(CallRecord.values(buffer), [0, 0, 0, 1, 1, 1])
  }

  func testGradientsOfGradients() throws {
    let x = try wave([3], requiresGrad: true)
    let energy = aotFunction { (x: Tensor) in try x.sin().square().sum() }
    let force = try grad(of: energy(x), with: x, createGraph: true)
    try force.square().sum().backward()  // through the gradient
    XCTAssertNotNil(x.grad)
  }

  func testReasonsForRecompilations() throws {
    let function = aotFunction { (x: Tensor) in try x.exp() }
    let reasons = Locked<[String]>([])
    let subscription = AOTLog.addHandler(for: [.recompiles]) { event in
      reasons.withLock { $0.append("\(event)") }
    }
    _ = try function(Tensor.ones([2]))
    _ = try function(Tensor.ones([3]))  // another shape: reasons says so
    subscription.cancel()
    XCTAssertTrue(reasons.withLock { $0.contains { $0.contains("sizes") } })
  }

  func testSavedTensors() throws {
    let model = aotFunction { (x: Tensor) in try x.exp().sin() }
    let x = try wave([8], requiresGrad: true)
    let halves = SavedTensorHooks {
      [try $0.to(.bfloat16)]
    } unpack: {
      try $0[0].to(.float32)
    }
    let loss = try halves.use { try model(x) }.sum()
    try loss.backward()
    XCTAssertNotNil(x.grad)
  }

  func testFilter() throws {
    let configuration = AOTConfiguration(savedTensorHooksFilter: .donatedOnly)
    XCTAssertEqual(configuration.savedTensorHooksFilter, .donatedOnly)
  }

  func testCheckpoint() throws {
    let block = aotFunction { (x: Tensor, w: Tensor) in
      try checkpoint { try x.matmul(w).tanh().exp() }
    }
    let regions = aotFunction { (x: Tensor, w: Tensor) in
      try recomputeRegion(.mustRecompute) {
        let product = try recomputeRegion(.mustSave) { try x.matmul(w) }
        return try product.tanh().exp()
      }
    }
    let (x, w) = (try wave([2, 2], requiresGrad: true), try wave([2, 2], from: 1, requiresGrad: true))
    try (block(x, w) - regions(x, w)).square().sum().backward()
    XCTAssertEqual(CallRecord.values(try XCTUnwrap(x.grad)), [0, 0, 0, 0])
  }

  func testAutocast() throws {
    let layer = aotFunction { (x: Tensor, w: Tensor) in
      try autocast(.bfloat16) { try x.matmul(w).softmax(1) }  // the product in bfloat16, the softmax in float32
    }
    let (x, w) = (try wave([2, 2], requiresGrad: true), try wave([2, 2], from: 1, requiresGrad: true))
    XCTAssertEqual(try layer(x, w).dtype, .float32)
  }
}
