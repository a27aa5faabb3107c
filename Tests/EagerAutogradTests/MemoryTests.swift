import EagerAutograd
import Operators
import TensorCore
import XCTest

/// How long the tape keeps what it keeps.
final class MemoryTests: XCTestCase {
  func testDeepGraphsNeitherRunNorGoDeep() throws {
    let x = try leaf([1])
    var y = x
    for _ in 0..<100_000 { y = try y + x }
    try y.backward()
    try assertEqual(x.grad.values, [100_001])
  }

  func testDeepGraphsOfSavedTensorsAreFreed() throws {
    let x = try leaf([1])
    var y = x
    for _ in 0..<100_000 { y = try y * x }
    y = x
    XCTAssertTrue(x.isLeaf)
  }

  func testDeepChainsOfWritesAndViewsAreFreed() throws {
    let x = try leaf([1])
    let y = try x * 1
    for _ in 0..<20_000 { try y.view([1]).mul_(1) }
    try y.backward()
    try assertEqual(x.grad.values, [1])
    var view = try constant([1])
    for _ in 0..<100_000 { view = try view.view([1]) }
    XCTAssertTrue(view.isView)
  }

  func testAGraphGoesWithItsResult() throws {
    let x = try leaf([1])
    weak var function: GradientFunction?
    weak var middle: Tensor?
    do {
      let y = try x.tanh()
      function = try y.gradientFunction
      middle = y
      _ = try y * y
    }
    XCTAssertNil(function)
    XCTAssertNil(middle)
  }

  func testATensorThatIsWrittenWhatItGaveIsFreed() throws {
    let x = try leaf([1])
    weak var memory: Storage?
    do {
      let y = try x * 1
      let product = try y * y
      try y.add_(product)
      try y.view([1]).mul_(y.view([1]))
      memory = y.storage
    }
    XCTAssertNil(memory)
  }

  func testBackwardFreesWhatWasSaved() throws {
    let x = try leaf([1])
    weak var memory: Storage?
    let z: Tensor
    do {
      let y = try x * 2
      memory = y.storage
      z = try y * y
    }
    XCTAssertNotNil(memory)
    try z.backward()
    XCTAssertNil(memory)
    XCTAssertNotNil(try z.gradientFunction)
  }

  func testOnlyWhatIsNeededIsSaved() throws {
    let x = try leaf([1])
    weak var unneeded: Storage?
    let z: Tensor
    do {
      let factor = try constant([3])
      let y = try x * factor
      unneeded = y.storage
      // The gradient of y alone is wanted: it is the factor.
      z = try y * factor
    }
    XCTAssertNil(unneeded)
    try z.backward()
    try assertEqual(x.grad.values, [9])
  }
}
