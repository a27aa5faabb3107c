import EagerAutograd
import Operators
import TensorCore
import XCTest

/// Writing in place: to leaves, to results, to views and to what views look at.
final class InPlaceTests: XCTestCase {
  func testWritingToALeafIsRefusedBeforeAnythingIsWritten() throws {
    let x = try leaf([1, 2])
    let message = assertThrows(.leafInPlace) { try x.add_(1) }
    XCTAssertTrue(message.contains("aten.add_.Tensor"), message)
    assertThrows(.leafInPlace) { try x.view([1, 2]).mul_(2) }
    try assertEqual(x.values, [1, 2])
    XCTAssertEqual(x.storage.version, 0)
    try noGrad { _ = try x.add_(1) }
    try assertEqual(x.values, [2, 3])
    XCTAssertTrue(x.isLeaf && x.requiresGrad)
  }

  func testWritingToAResultIsPartOfItsHistory() throws {
    let x = try leaf([1, 2])
    let y = try x * 3
    try y.mul_(x)
    XCTAssertEqual(try y.gradientFunction?.name, "aten.mul_.Tensor")
    try y.sum().backward()
    try assertEqual(x.grad.values, [6, 12])
  }

  func testATensorStartsToRequireGradientsWhenTheyAreWrittenToIt() throws {
    let x = try leaf([5, 7])
    let y = try constant([1, 1])
    try y.add_(x)
    XCTAssertTrue(y.requiresGrad)
    try (y * y).sum().backward()
    try assertEqual(x.grad.values, [12, 16])
  }

  func testAValueNeededFromBeforeTheWriteIsCloned() throws {
    let x = try leaf([2])
    let w = try leaf([3])
    let y = try x * 1
    try y.mul_(w)
    try y.backward()
    try assertEqual(w.grad.values, [2])
    try assertEqual(x.grad.values, [3])
  }

  func testAResultNeededFromAfterTheWriteIsKept() throws {
    let x = try leaf([0.3])
    let y = try x * 1
    try y.tanh_()
    let first = try grad(of: y, with: x, createGraph: true)
    let t = tanh(0.3)
    try assertEqual(first.values, [1 - t * t])
    try assertEqual(grad(of: first, with: x).values, [-2 * t * (1 - t * t)])
  }

  func testASavedValueThatWasOverwrittenIsRefused() throws {
    let x = try leaf([1, 2])
    let y = try x * 2
    let z = try y * y
    try y.add_(1)
    let message = assertThrows(.modifiedInPlace) { try z.sum().backward() }
    XCTAssertTrue(message.contains("aten.mul.Tensor"), message)
    XCTAssertTrue(message.contains("is at version 1") && message.contains("saved at version 0"), message)
    XCTAssertTrue(message.contains("clone"), message)
  }

  func testAWriteThroughAViewOrWithoutGradientsIsNoticedToo() throws {
    let x = try leaf([1, 2])
    let y = try x.tanh()
    try y.detach().add_(1)
    assertThrows(.modifiedInPlace) { try y.sum().backward() }
    let z = try x.tanh()
    try noGrad { _ = try z.view([2, 1]).add_(1) }
    assertThrows(.modifiedInPlace) { try z.sum().backward() }
  }

  func testAValueWrittenByItselfIsRefusedInBackward() throws {
    let x = try leaf([3])
    let y = try x * 1
    try y.mul_(y)
    assertThrows(.modifiedInPlace) { try y.backward() }
  }

  func testCopyingOverATensorCutsItsHistory() throws {
    let x = try leaf([1, 2])
    let w = try leaf([3, 4])
    let y = try x * 2
    try y.copy_(w)
    try (y * y).sum().backward()
    try assertEqual(w.grad.values, [6, 8])
  }

  // MARK: - Views

  func testWritingThroughAViewChangesTheBasesHistory() throws {
    let x = try leaf([1, 2, 3, 4])
    let base = try x * 1
    let row = try base.view([2, 2]).select(0, 1)
    try row.mul_(10)
    try assertEqual(base.values, [1, 2, 30, 40])
    try (base * base).sum().backward()
    try assertEqual(x.grad.values, [2, 4, 600, 800])
  }

  func testValuesWrittenThroughAViewGetTheirGradients() throws {
    let base = try constant([1, 2, 3, 4])
    let w = try leaf([5, 6])
    try base.view([2, 2]).select(0, 0).mul_(w)
    XCTAssertTrue(base.requiresGrad)
    try (base * base).sum().backward()
    // (1·5)², (2·6)²
    try assertEqual(w.grad.values, [10, 48])
  }

  func testAViewFollowsWritesToItsBase() throws {
    let x = try leaf([1, 2])
    let base = try x * 1
    let view = try base.view([2, 1])
    XCTAssertEqual(try view.gradientFunction?.name, "aten.view.default")
    let before = try view.gradientFunction
    try base.mul_(x)
    XCTAssertFalse(try view.gradientFunction === before)
    try view.sum().backward()
    try assertEqual(x.grad.values, [2, 4])
  }

  func testAViewFollowsWritesThroughItsSibling() throws {
    let x = try leaf([1, 2, 3])
    let base = try x * 1
    let left = try base.slice(0, from: 0, to: 2)
    let right = try base.slice(0, from: 1, to: 3)
    try left.mul_(10)
    // right is [20, 3]: its first element is left's second.
    try assertEqual(right.values, [20, 3])
    try (right * right).sum().backward()
    try assertEqual(x.grad.values, [0, 400, 6])
  }

  func testAViewStartsToRequireGradientsWithItsBase() throws {
    let x = try leaf([2, 3])
    let base = try constant([1, 1])
    let view = try base.view([2, 1])
    XCTAssertFalse(view.requiresGrad)
    try base.mul_(x)
    XCTAssertTrue(view.requiresGrad)
    XCTAssertFalse(view.isLeaf)
    try view.sum().backward()
    try assertEqual(x.grad.values, [1, 1])
  }

  func testTheWrittenViewItselfHasTheNewHistory() throws {
    let x = try leaf([1, 2, 3, 4])
    let base = try x * 1
    let view = try base.view([2, 2]).t()
    try view.mul_(view.detach().clone())
    try view.sum().backward()
    try assertEqual(x.grad.values, [1, 2, 3, 4])
  }

  func testWritesThroughSeveralViewsChain() throws {
    let x = try leaf([1, 2, 3, 4])
    let base = try x * 1
    let matrix = try base.view([2, 2])
    try matrix.select(0, 0).mul_(2)
    try matrix.select(1, 1).mul_(3)
    try base.add_(1)
    try matrix.tanh_()
    try assertGradientMatches(x, base) { v in
      [v[0] * 2, v[1] * 6, v[2], v[3] * 3].map { tanh($0 + 1) }
    }
  }

  func testTanhThroughAViewCanBeDifferentiatedTwice() throws {
    let x = try leaf([0.2, 0.4])
    let base = try x * 1
    let view = try base.select(0, 1)
    try view.tanh_()
    let first = try grad(of: base.sum(), with: x, createGraph: true)
    let t = tanh(0.4)
    try assertEqual(first.values, [1, 1 - t * t])
    try assertEqual(grad(of: first.sum(), with: x).values, [0, -2 * t * (1 - t * t)])
  }

  func testBackwardTwiceThroughAWrittenView() throws {
    let x = try leaf([1, 2])
    let base = try x * 1
    try base.select(0, 0).tanh_()
    let y = try base.sum()
    try y.backward(retainGraph: true)
    try y.backward()
    assertThrows(.backwardTwice) { try y.backward() }
  }

  func testViewsMadeWithoutGradientsAreNotWrittenToWithThem() throws {
    let x = try leaf([1, 2])
    let base = try x * 1
    let view = try noGrad { try base.view([2, 1]) }
    XCTAssertTrue(view.requiresGrad)
    let message = assertThrows(.viewInPlace) { try view.mul_(2) }
    XCTAssertTrue(message.contains("noGrad"), message)
    try assertEqual(base.values, [1, 2])
    try noGrad { _ = try view.mul_(2) }
    try assertEqual(base.values, [2, 4])
  }

  func testOneOfSeveralViewsIsNotWrittenTo() throws {
    let x = try leaf([1, 2])
    let parts = try (x * 1).unbind()
    let message = assertThrows(.viewInPlace) { try parts[0].mul_(2) }
    XCTAssertTrue(message.contains("several"), message)
  }

  func testOneOfSeveralViewsDoesNotSurviveAWriteToItsBase() throws {
    let x = try leaf([1, 2])
    let base = try x * 1
    let parts = try base.unbind()
    try base.mul_(2)
    assertThrows(.viewInPlace) { try parts[0].backward() }
  }

  func testChangingALayoutInPlaceIsPartOfTheHistory() throws {
    let x = try leaf([1, 2, 3, 4, 5, 6], [2, 3])
    assertThrows(.leafInPlace) { try x.t_() }
    let y = try x * 1
    try y.t_()
    XCTAssertEqual(y.shape, [3, 2])
    try (y * constant([1, 2, 3, 4, 5, 6], [3, 2])).sum().backward()
    try assertEqual(x.grad.values, [1, 3, 5, 2, 4, 6])
  }

  func testChangingAViewsLayoutInPlaceKeepsTheBase() throws {
    let x = try leaf([1, 2, 3, 4])
    let base = try x * 1
    let view = try base.view([2, 2])
    try view.t_()
    try view.select(0, 0).mul_(10)
    try assertEqual(base.values, [10, 2, 30, 4])
    try (base * base).sum().backward()
    try assertEqual(x.grad.values, [200, 4, 600, 8])
  }

  func testAFailedWriteChangesNothing() throws {
    let x = try leaf([1, 2])
    let y = try x * 1
    let function = try y.gradientFunction
    XCTAssertThrowsError(try y.add_(constant([1, 2, 3])))
    XCTAssertTrue(try y.gradientFunction === function)
    try y.sum().backward()
    try assertEqual(x.grad.values, [1, 1])
  }

  /// Compares the gradient of `output`'s sum with finite differences of `function`, which gives the output's elements.
  private func assertGradientMatches(
    _ input: Tensor, _ output: Tensor, line: UInt = #line, _ function: ([Double]) -> [Double]
  ) throws {
    let values = try input.values
    try assertEqual(output.values, function(values), line: line)
    try output.sum().backward()
    let numeric = values.indices.map { index in
      var (above, below) = (values, values)
      above[index] += 1e-6
      below[index] -= 1e-6
      return (function(above).reduce(0, +) - function(below).reduce(0, +)) / 2e-6
    }
    try assertEqual(input.grad.values, numeric, accuracy: 1e-7, line: line)
  }
}
