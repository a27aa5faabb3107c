import AOTAutograd
import XCTest

/// Operators compute in the types that `autocast` lists, eagerly and compiled.
final class AutocastTests: XCTestCase {
  private func matrices() throws -> CallArguments {
    [try wave([2, 3], requiresGrad: true), try wave([3, 2], from: 1, requiresGrad: true)]
  }

  func testTypesOfResults() throws {
    let (x, w) = (try wave([2, 3]), try wave([3, 2]))
    let image = try wave([1, 1, 4, 4])
    try autocast {
      XCTAssertEqual(try x.matmul(w).dtype, .bfloat16)
      XCTAssertEqual(try x.mm(w).dtype, .bfloat16)
      XCTAssertEqual(try image.conv2d(wave([1, 1, 2, 2])).dtype, .bfloat16)
      XCTAssertEqual(try x.matmul(w).softmax(1).dtype, .float32)
      XCTAssertEqual(try x.matmul(w).relu().dtype, .bfloat16)
      XCTAssertEqual(try Tensor.cat([x.matmul(w), w]).dtype, .float32)
      XCTAssertEqual(try Tensor.cat([x.matmul(w), x.matmul(w)]).dtype, .bfloat16)
      XCTAssertEqual(try x.to(.float64).mm(w.to(.float64)).dtype, .float64)
      XCTAssertEqual(try autocast(.float16) { try x.mm(w) }.dtype, .float16)
      XCTAssertEqual(try autocast(nil) { try x.mm(w) }.dtype, .float32)
      XCTAssertEqual(try x.mm(w).dtype, .bfloat16)
    }
    XCTAssertEqual(try x.mm(w).dtype, .float32)
  }

  func testARegionInsideACompiledFunction() throws {
    try assertCompiledAgrees(matrices) { x in
      let (y, z) = try autocast {
        let y = try x[0].matmul(x[1])
        return (y, try autocast(nil) { try x[0].matmul(x[1]) })
      }
      return [y, z, try y.softmax(1), try x[0].matmul(x[1])]
    }
  }

  func testAroundACompiledFunction() throws {
    let body = { (x: [Tensor]) in [try x[0].matmul(x[1]).tanh(), try Tensor.cat([x[0].matmul(x[1]), x[1]])] }
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration, body)
      let (mine, eager) = (try matrices(), try matrices())
      let expected = CallRecord(arguments: eager.tensors) { x in try autocast { try body(x) } }
      let got = CallRecord(arguments: mine.tensors) { x in try autocast { try function(x) } }
      XCTAssertEqual(got.differences(from: expected, tolerance: 1e-2), [], name)
      XCTAssertTrue(got.facts.contains { $0.hasPrefix("grad 0: float32") }, "\(got.facts)")
      _ = try function(mine.tensors)
      _ = try autocast(.float16) { try function(mine.tensors) }
      _ = try autocast { try function(mine.tensors) }
      XCTAssertEqual(function.entryCount, 3, name)
    }
  }

  func testABackwardPassInsideARegionIsNotCast() throws {
    let body = { (x: Tensor, w: Tensor) in try x.matmul(w).exp() }
    func gradient(_ isCast: Bool, _ function: (Tensor, Tensor) throws -> Tensor) throws -> [Double] {
      let (x, w) = (try wave([2, 3], requiresGrad: true), try wave([3, 2], from: 1, requiresGrad: true))
      let y = try function(x, w).sum()
      try autocast(isCast ? .bfloat16 : nil) { () throws in try y.backward() }
      return CallRecord.values(try XCTUnwrap(x.grad))
    }
    let function = aotFunction(body)
    XCTAssertEqual(try gradient(true, body), try gradient(false, body))
    XCTAssertEqual(try gradient(true) { try function($0, $1) }, try gradient(false) { try function($0, $1) })
  }
}
