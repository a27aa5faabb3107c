import EagerAutograd
import Foundation
import Operators
import TensorCore
import XCTest

final class ModeTests: XCTestCase {
  func testNoGradRecordsNothing() throws {
    let x = try leaf([1])
    let y = try noGrad { try x * 2 }
    XCTAssertFalse(y.requiresGrad)
    XCTAssertTrue(isGradEnabled)
    let z = try noGrad { try enableGrad { try x * 2 } }
    XCTAssertTrue(z.requiresGrad)
  }

  func testModesEndWithAnError() {
    struct Refusal: Error {}
    XCTAssertThrowsError(try noGrad { throw Refusal() })
    XCTAssertThrowsError(try inferenceMode { throw Refusal() })
    XCTAssertTrue(isGradEnabled)
  }

  func testSwitchingByHandLastsUntilTheScopeEnds() throws {
    let x = try leaf([1])
    try noGrad {
      setGradEnabled(true)
      XCTAssertTrue(try (x * 2).requiresGrad)
    }
    XCTAssertTrue(isGradEnabled)
    setGradEnabled(false)
    XCTAssertFalse(try (x * 2).requiresGrad)
    setGradEnabled(true)
  }

  func testModesAreAThreadsOwn() {
    let done = expectation(description: "other thread")
    noGrad {
      Thread.detachNewThread {
        XCTAssertTrue(isGradEnabled)
        done.fulfill()
      }
      wait(for: [done], timeout: 10)
    }
  }

  func testInferenceTensorsStayOutOfAutograd() throws {
    let x = try leaf([1, 2])
    let frozen = try inferenceMode { try x * 2 }
    XCTAssertTrue(frozen.isInference)
    XCTAssertFalse(frozen.requiresGrad)
    XCTAssertTrue(try frozen.view([2, 1]).isInference)
    assertThrows(.inferenceTensor) { try frozen.requiringGrad() }
    let message = assertThrows(.inferenceTensor) { try x * frozen }
    XCTAssertTrue(message.contains("clone"), message)
    XCTAssertThrowsError(try frozen.add_(1)) { XCTAssertEqual(($0 as? OperatorError)?.code, .inferenceTensor) }
    try assertEqual(frozen.values, [2, 4])
    _ = try x + frozen  // nothing needs saving
    try inferenceMode { _ = try frozen.add_(1) }
    XCTAssertTrue(try (x * frozen.clone()).requiresGrad)
    XCTAssertFalse(try inferenceMode { try enableGrad { try x * 2 } }.requiresGrad)
  }

  func testViewsMadeInInferenceModeAreNotWrittenToOutside() throws {
    let x = try leaf([1, 2])
    let base = try x * 1
    let view = try inferenceMode { try base.view([2, 1]) }
    XCTAssertFalse(view.isInference)
    let message = assertThrows(.viewInPlace) { try view.add_(1) }
    XCTAssertTrue(message.contains("inferenceMode"), message)
  }

  func testThreadsRunSeparateGraphs() {
    DispatchQueue.concurrentPerform(iterations: 8) { seed in
      do {
        let x = try leaf([Double(seed)])
        var y = x
        for _ in 0..<50 { y = try y + x }
        try y.backward()
        try assertEqual(x.grad.values, [51])
      } catch { XCTFail("\(error)") }
    }
  }
}
