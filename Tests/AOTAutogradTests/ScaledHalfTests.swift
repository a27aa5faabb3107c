import AOTAutograd
import XCTest

/// What the article on tensor subclasses says happens.
final class ScaledHalfTests: XCTestCase {
  private func scaled(_ shape: [Int], _ scale: Double) throws -> Tensor {
    try Tensor(wrapping: ScaledHalf(data: wave(shape).to(.float16), scale: scale))
  }

  func testSnippet() throws {
    let x = try wave([2, 3], requiresGrad: true)
    let values = try wave([4, 3])
    let w = try Tensor(wrapping: ScaledHalf(data: (values / 8).to(.float16), scale: 8))
    let layer = aotFunction { (x: Tensor, w: Tensor) in try x.linear(w).relu() }
    let y = try layer(x, w)
    try y.sum().backward()

    let eager = try x.detach().requiringGrad()
    let expected = try eager.linear(w).relu()
    try expected.sum().backward()
    for (got, wanted) in [(y, expected), (try XCTUnwrap(x.grad), try XCTUnwrap(eager.grad))] {
      for (a, b) in zip(CallRecord.values(got), CallRecord.values(wanted)) { XCTAssertEqual(a, b, accuracy: 1e-5) }
    }
    let forward = try layer.stages(x, w).forward
    XCTAssertEqual(forward.placeholders.map { forward[$0].name }, ["primals_1", "primals_2_data"])
  }

  func testCompiledAgrees() throws {
    try assertCompiledAgrees({ [try wave([2, 3], requiresGrad: true), try self.scaled([4, 3], 0.5)] }) { x in
      [try x[0].linear(x[1]), try x[1][1], try x[1].t()]
    }
    let parts = try scaled([4, 3], 2).split(2)
    XCTAssertEqual(parts.map { $0.unwrapped(as: ScaledHalf.self)?.scale }, [2, 2])
  }

  func testMetadataAreGuarded() throws {
    let function = aotFunction { (x: Tensor) in try x + 1 }
    for (scale, entries) in [(1.0, 1), (2.0, 2), (1.0, 2)] {
      XCTAssertEqual(CallRecord.values(try function(scaled([2], scale))), CallRecord.values(try scaled([2], scale) + 1))
      XCTAssertEqual(function.entryCount, entries)
    }
  }

  func testWritesAreRefused() throws {
    XCTAssertThrowsError(try scaled([2], 1).add_(1)) {
      XCTAssertTrue("\($0)".contains("is not handled by the tensor subclass ScaledHalf"), "\($0)")
    }
  }
}
