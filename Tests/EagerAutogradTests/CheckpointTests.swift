import EagerAutograd
import GraphIR
import Operators
import TensorCore
import XCTest

final class CheckpointTests: XCTestCase {
  private func leaf() throws -> Tensor { try (Tensor.arange(6) / 7.0).requiringGrad() }

  private func gradient(_ body: (Tensor) throws -> Tensor) throws -> [Float] {
    let x = try leaf()
    manualSeed(3)
    try body(x).sum().backward()
    return try XCTUnwrap(x.grad).elements()
  }

  func testGradientsAreThoseOfThePlainRun() throws {
    func block(_ x: Tensor) throws -> Tensor { try (x.sin() * x.exp()).dropout(0.5, isTraining: true).tanh() }
    let plain = try gradient { try block(block($0)) }
    XCTAssertEqual(
      try gradient { x in
        let y = try checkpoint { try block(x) }
        return try checkpoint { try block(y) }
      }, plain)
    XCTAssertEqual(try gradient { x in try checkpoint { try block(checkpoint { try block(x) }) } }, plain)
  }

  func testRandomNumbersAfterTheCheckpointAreUntouched() throws {
    let x = try leaf()
    manualSeed(3)
    let y = try checkpoint { try x.sin().dropout(0.5, isTraining: true).exp() }
    let generator = Generator.default.copy()
    try y.sum().backward()
    XCTAssertEqual(try Tensor.rand([3]).elements(as: Float.self), try generator.use { try Tensor.rand([3]).elements() })
  }

  func testNothingInsideIsKept() throws {
    let x = try leaf()
    weak var inside: Storage?
    var runs = 0
    let y = try checkpoint {
      runs += 1
      let sine = try x.sin()
      if runs == 1 { inside = sine.storage }
      return try sine.exp().cos()
    }
    XCTAssertNil(inside)
    try y.sum().backward(retainGraph: true)
    XCTAssertEqual(runs, 2, "one recomputation serves a whole backward pass")
    try y.sum().backward()
    XCTAssertEqual(runs, 3)
  }

  func testSecondDerivatives() throws {
    func second(_ body: (Tensor) throws -> Tensor) throws -> [Float] {
      let x = try leaf()
      let first = try grad(of: body(x).sum(), with: x, createGraph: true)
      try first.sum().backward()
      return try XCTUnwrap(x.grad).elements()
    }
    XCTAssertEqual(try second { x in try checkpoint { try x.sin().exp() } }, try second { try $0.sin().exp() })
  }

  func testGradientsTakenInsideTheBody() throws {
    func body(_ x: Tensor) throws -> Tensor {
      let y = try x.sin().exp()
      return try y * grad(of: y.sum(), with: x, createGraph: true)
    }
    XCTAssertEqual(try gradient { x in try checkpoint { try body(x) } }, try gradient(body))
  }

  func testAnotherSecondRunIsRefused() throws {
    let x = try leaf()
    var runs = 0
    let y = try checkpoint {
      runs += 1
      return try runs == 1 ? x.sin().exp() : x.sin()
    }
    assertRefused(.recomputationDiffers) { try y.sum().backward() }
  }

  func testWritesToWhatIsNeededAreRefused() throws {
    let x = try leaf()
    let scale = try Tensor.ones([6])
    let scaled = try checkpoint { try x * scale }
    try scale.mul_(2)
    assertRefused(.modifiedInPlace) { try scaled.sum().backward() }
    let overwritten = try checkpoint {
      let exponential = try x.exp()
      let result = try exponential.sin()
      try noGrad { _ = try exponential.mul_(2) }
      return result
    }
    assertRefused(.modifiedInPlace) { try overwritten.sum().backward() }
  }

  func testWithoutGradientsTheBodyJustRuns() throws {
    let x = try leaf()
    XCTAssertFalse(try noGrad { try checkpoint { try x.sin() } }.requiresGrad)
  }

  private func assertRefused(_ code: AutogradError.Code, line: UInt = #line, _ body: () throws -> Void) {
    XCTAssertThrowsError(try body(), line: line) { XCTAssertEqual(($0 as? AutogradError)?.code, code, line: line) }
  }
}
