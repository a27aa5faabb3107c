import EagerAutograd
import Operators
import TensorCore
import XCTest

final class BackwardTests: XCTestCase {
  func testGradientsReachLeaves() throws {
    let x = try leaf([1, 2, 3])
    let w = try leaf([4, 5, 6])
    let c = try constant([1, 1, 1])
    let y = try (x * w + c).sum()
    XCTAssertTrue(y.requiresGrad)
    XCTAssertFalse(y.isLeaf)
    XCTAssertTrue(x.isLeaf)
    try y.backward()
    try assertEqual(x.grad.values, [4, 5, 6])
    try assertEqual(w.grad.values, [1, 2, 3])
    XCTAssertNil(c.grad)
    XCTAssertNil(y.grad)
  }

  func testGradientsAccumulateOverPassesAndUses() throws {
    let x = try leaf([2])
    try (x * x * x).backward()
    try assertEqual(x.grad.values, [12])
    let first = x.grad
    try (x * 5).backward()
    try assertEqual(x.grad.values, [17])
    XCTAssertTrue(x.grad === first, "accumulation is in place")
    x.grad = nil
    try (x * 5).backward()
    try assertEqual(x.grad.values, [5])
  }

  func testAnImplicitGradientNeedsOneElement() throws {
    let x = try leaf([1, 2])
    assertThrows(.invalidGradient) { try (x * 2).backward() }
    assertThrows(.invalidGradient) { try (x * 2).backward(gradient: constant([1, 2, 3])) }
    try (x * 2).backward(gradient: constant([1, 10]))
    try assertEqual(x.grad.values, [2, 20])
  }

  func testAGradientOfAnotherDTypeIsConverted() throws {
    let x = try leaf([1, 2])
    try (x * 2).backward(gradient: Tensor([1, 3] as [Float]))
    try assertEqual(x.grad.values, [2, 6])
    XCTAssertEqual(x.grad?.dtype, .float64)
  }

  func testBackwardWithoutHistoryThrows() throws {
    let x = try constant([1])
    assertThrows(.noGradient) { try x.backward() }
    assertThrows(.noGradient) { try grad(of: x * 2, with: x) }
  }

  func testBackwardTwiceThrowsUnlessTheGraphIsRetained() throws {
    let x = try leaf([3])
    let y = try x * x
    try y.backward(retainGraph: true)
    try y.backward()
    try assertEqual(x.grad.values, [12])
    let message = assertThrows(.backwardTwice) { try y.backward() }
    XCTAssertTrue(message.contains("aten.mul.Tensor") && message.contains("retainGraph: true"), message)
    // Nothing was saved for a sum: going through it again is fine.
    let z = try x + x
    try z.backward()
    try z.backward()
    try assertEqual(x.grad.values, [16])
  }

  func testLeavesThemselvesCanBeDifferentiated() throws {
    let x = try leaf([3])
    try x.backward()
    try assertEqual(x.grad.values, [1])
    try assertEqual(grad(of: x, with: x).values, [1])
  }

  func testGradTouchesNobodysGrad() throws {
    let x = try leaf([2, 3])
    let w = try leaf([5, 7])
    let y = try x * w
    let gradients = try grad(of: [y.sum()], with: [x, y])
    try assertEqual(gradients[0].values, [5, 7])
    try assertEqual(gradients[1].values, [1, 1])
    XCTAssertNil(x.grad)
    XCTAssertNil(w.grad)
  }

  func testUnusedInputs() throws {
    let x = try leaf([2])
    let unused = try leaf([2])
    assertThrows(.unusedInput) { try grad(of: [x * 2], with: [x, unused]) }
    let gradients = try grad(of: [x * 2], with: [x, unused], allowUnused: true)
    XCTAssertNil(gradients[1])
  }

  func testBackwardIntoChosenInputs() throws {
    let x = try leaf([2])
    let w = try leaf([3])
    let product = try x * w
    try (product * 2).backward(inputs: [w, product])
    XCTAssertNil(x.grad)
    try assertEqual(w.grad.values, [4])
    try assertEqual(product.grad.values, [2])
    assertThrows(.noGradient) { try product.backward(inputs: []) }
  }

  func testSeveralOutputsAddUp() throws {
    let x = try leaf([2])
    let y = try x * x
    try backward([y, y, x * 3], gradients: [nil, constant([10]), nil])
    try assertEqual(x.grad.values, [4 + 40 + 3])
  }

  func testHigherDerivatives() throws {
    let x = try leaf([2])
    let y = try x * x * x * x
    let first = try grad(of: y, with: x, createGraph: true)
    let second = try grad(of: first, with: x, createGraph: true)
    let third = try grad(of: second, with: x, createGraph: true)
    let fourth = try grad(of: third, with: x)
    try assertEqual([first, second, third, fourth].flatMap { try $0.values }, [32, 48, 48, 24])
    XCTAssertFalse(fourth.requiresGrad)
  }

  func testCreateGraphAccumulatesOutOfPlace() throws {
    let x = try leaf([3])
    try (x * x).backward(createGraph: true)
    let first = try XCTUnwrap(x.grad)
    XCTAssertTrue(first.requiresGrad)
    try (x * x).backward(createGraph: true)
    XCTAssertFalse(x.grad === first)
    try assertEqual(x.grad.values, [12])
    x.grad = nil
  }

  func testSavedResultsServeDoubleBackward() throws {
    let x = try leaf([0.5])
    let y = try x.tanh()
    let first = try grad(of: y, with: x, createGraph: true)
    let second = try grad(of: first, with: x)
    let t = tanh(0.5)
    try assertEqual(first.values, [1 - t * t])
    try assertEqual(second.values, [-2 * t * (1 - t * t)])
  }

  func testBroadcastGradientsAreSummed() throws {
    let x = try leaf([1, 2, 3], [3, 1])
    let w = try leaf([1, 10])
    try (x * w).sum().backward()
    try assertEqual(x.grad.values, [11, 11, 11])
    XCTAssertEqual(x.grad?.shape, [3, 1])
    try assertEqual(w.grad.values, [6, 6])
  }

  func testGradientsLieInMemoryAsTheirLeaves() throws {
    let x = try Tensor(
      storage: Storage(byteCount: 48), layout: Layout(sizes: [2, 3], strides: [1, 2]), dtype: .float64
    )
    .requiringGrad()
    try (x * 2).sum().backward()
    XCTAssertEqual(x.grad?.strides, [1, 2])
    let row = try leaf([1, 2, 3]).expand([2, 3])
    XCTAssertFalse(row.isLeaf)
  }

  func testAccumulatedGradientsShareNoMemory() throws {
    let x = try leaf([1, 2])
    let w = try leaf([1, 2])
    let gradient = try constant([1, 1])
    try (x + w).backward(gradient: gradient)
    try x.grad?.add_(1)
    try assertEqual(w.grad.values, [1, 1])
    try assertEqual(gradient.values, [1, 1])
  }

  func testIntegerResultsDoNotRequireGradients() throws {
    let x = try leaf([1, 2])
    XCTAssertFalse(try x.eq(1).requiresGrad)
    XCTAssertFalse(try x.converted(to: .int64).requiresGrad)
    assertThrows(.notFloatingPoint) { try Tensor([1, 2]).requiringGrad() }
  }

  func testRequiresGradIsForLeavesToSwitch() throws {
    let x = try leaf([1])
    let y = try x * 2
    assertThrows(.notLeaf) { try y.setRequiresGrad(false) }
    try y.setRequiresGrad(true)
    try x.setRequiresGrad(false)
    XCTAssertFalse(x.requiresGrad)
    XCTAssertFalse(try (x * 2).requiresGrad)
    XCTAssertFalse(try y.detach().requiresGrad)
    XCTAssertTrue(try y.detach().isLeaf)
  }

  func testTheFunctionOfAResultNamesItsOperator() throws {
    let x = try leaf([1])
    XCTAssertEqual(try (x * 2).gradientFunction?.name, "aten.mul.Tensor")
    XCTAssertNil(try x.gradientFunction)
  }

  func testAnErrorLeavesGradientsAsTheyWere() throws {
    let x = try leaf([1])
    struct Refusal: Error {}
    let y = try x * 2
    try y.registerHook { _ in throw Refusal() }
    XCTAssertThrowsError(try (y * 3).backward()) { XCTAssertTrue($0 is Refusal) }
    XCTAssertNil(x.grad)
    XCTAssertTrue(isGradEnabled)
  }
}
