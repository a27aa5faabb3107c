import EagerAutograd
import Operators
import TensorCore
import XCTest

final class HookTests: XCTestCase {
  func testHooksRunInTheirOrder() throws {
    var log: [String] = []
    let x = try leaf([2])
    try x.registerHook { _ in
      log.append("leaf"); return nil
    }
    try x.registerPostAccumulateGradHook { leaf in log.append("accumulated \(try leaf.grad.values)") }
    let y = try x * 3
    try y.registerHook { _ in
      log.append("first"); return nil
    }
    try y.registerHook { _ in
      log.append("second"); return nil
    }
    try y.retainGrad()
    let function = try XCTUnwrap(y.gradientFunction)
    function.registerPreHook { _ in
      log.append("before, retained \(try y.grad.values)"); return nil
    }
    function.registerHook { results, _ in
      log.append("after \(try results[0].values)"); return nil
    }
    try (y * 5).backward()
    XCTAssertEqual(
      log, ["first", "second", "before, retained [5.0]", "after [15.0]", "leaf", "accumulated [15.0]"])
  }

  func testAHookMayReplaceTheGradient() throws {
    let x = try leaf([2])
    let y = try x * 3
    try y.registerHook { try $0 * 10 }
    try y.retainGrad()
    try (y * 5).backward()
    try assertEqual(x.grad.values, [150])
    try assertEqual(y.grad.values, [50])
    // What grad(of:) gives has been through the hooks as well.
    let z = try x * 3
    try z.registerHook { try $0 * 10 }
    try assertEqual(grad(of: z * 5, with: z).values, [50])
  }

  func testAReplacedGradientMustFit() throws {
    let x = try leaf([2])
    try x.registerHook { _ in try constant([1, 2]) }
    assertThrows(.invalidGradient) { try (x * 2).backward() }
  }

  func testARemovedHookRunsNoMore() throws {
    let x = try leaf([2])
    var count = 0
    let handle = try x.registerHook { _ in
      count += 1; return nil
    }
    try (x * 2).backward()
    handle.remove()
    try (x * 2).backward()
    XCTAssertEqual(count, 1)
  }

  func testHooksNeedATensorWithAGradient() throws {
    assertThrows(.noGradient) { try constant([1]).registerHook { _ in nil } }
    assertThrows(.noGradient) { try constant([1]).retainGrad() }
    let x = try leaf([1])
    assertThrows(.notLeaf) { try (x * 2).registerPostAccumulateGradHook { _ in } }
    try x.retainGrad()
  }

  func testHooksStayWithTheValueBeforeAWrite() throws {
    let x = try leaf([2])
    let y = try x * 1
    var seen: [[Double]] = []
    try y.registerHook {
      seen.append(try $0.values); return nil
    }
    try y.retainGrad()
    try y.mul_(10)
    try (y * 3).backward()
    XCTAssertEqual(seen, [[30]])
    try assertEqual(y.grad.values, [3])
  }

  func testAPostAccumulateHookMayStepAndClear() throws {
    let w = try leaf([1])
    try w.registerPostAccumulateGradHook { leaf in
      try noGrad { _ = try leaf.sub_(try XCTUnwrap(leaf.grad), alpha: 0.5) }
      leaf.grad = nil
    }
    try (w * 4).backward()
    try assertEqual(w.values, [-1])
    XCTAssertNil(w.grad)
  }

  func testAHookMayRunABackwardPassOfItsOwn() throws {
    let x = try leaf([2])
    let other = try leaf([3])
    let y = try x * 3
    try y.registerHook { _ in
      try enableGrad { try (other * other).backward() }; return nil
    }
    try (y * x).backward()
    try assertEqual(x.grad.values, [12])
    try assertEqual(other.grad.values, [6])
  }
}
