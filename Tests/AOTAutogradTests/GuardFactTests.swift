import AOTAutograd
import AOTAutogradTesting
import XCTest

/// For each fact that compilation relies on: a call in which it differs compiles anew and gives what the closure gives, and one
/// in which nothing differs does not.
final class GuardFactTests: XCTestCase {
  private typealias Arguments = () throws -> CheckedCall.Arguments

  /// Writes, so that aliasing matters, and views, so that layouts do.
  private func body(_ arguments: [Tensor]) throws -> [Tensor?] {
    let sum = try arguments[0] + arguments[1]
    return [try sum.select(0, 0), try arguments[0].select(0, 0), sum]
  }

  private func assertGuards(
    _ fact: GuardFailure.Fact, _ first: CheckedCall, _ second: CheckedCall, line: UInt = #line
  ) throws {
    try aotcheck(calls: [first, second], body)
    let function = aotFunction { (tensors: [Tensor]) in try self.body(tensors) }
    let reasons = Locked<Set<GuardFailure.Fact>>([])
    let subscription = AOTLog.addHandler(for: [.recompiles]) { event in
      guard case .recompile(let entries) = event.payload, "\(event.function)".contains("GuardFactTests") else { return }
      reasons.withLock { $0.formUnion(entries.flatMap(\.self).map(\.fact)) }
    }
    for (index, call) in [first, first, second, second, first].enumerated() {
      try DispatchMode.with(call.isGradEnabled) { _ = try function(call.arguments().tensors) }
      XCTAssertEqual(function.entryCount, index < 2 ? 1 : 2, "\(fact), call \(index)", line: line)
    }
    subscription.cancel()
    XCTAssertTrue(reasons.withLock { $0.contains(fact) }, "\(fact): \(reasons.withLock { $0 })", line: line)
  }

  private enum DispatchMode {
    static func with(_ isGradEnabled: Bool, _ body: () throws -> Void) rethrows {
      try isGradEnabled ? body() : noGrad { try body() }
    }
  }

  private let plain = CheckedCall { [try wave([2, 2]), try wave([2, 2], from: 1)] }

  func testDType() throws {
    try assertGuards(.dtype, plain, .init { [try wave([2, 2]).to(.float64), try wave([2, 2])] })
  }

  func testSizes() throws { try assertGuards(.sizes, plain, .init { [try wave([2, 2]), try wave([1, 2])] }) }

  func testStrides() throws { try assertGuards(.strides, plain, .init { [try wave([2, 2]).t(), try wave([2, 2])] }) }

  func testWhereItStarts() throws {
    try assertGuards(.startsInside, plain, .init { [try wave([3, 2]).slice(0, from: 1), try wave([2, 2])] })
  }

  func testRequiresGrad() throws {
    try assertGuards(.requiresGrad, plain, .init { [try wave([2, 2], requiresGrad: true), try wave([2, 2])] })
  }

  func testLeaves() throws {
    let leaf = CheckedCall { [try wave([2, 2], requiresGrad: true), try wave([2, 2])] }
    try assertGuards(.isLeaf, leaf, .init { [try wave([2, 2], requiresGrad: true) * 1, try wave([2, 2])] })
  }

  func testInferenceTensors() throws {
    try assertGuards(.isInference, plain, .init { [try inferenceMode { try wave([2, 2]) * 1 }, try wave([2, 2])] })
  }

  func testTheSameTensorTwice() throws {
    try assertGuards(
      .sameTensor, plain,
      .init {
        let x = try wave([2, 2])
        return [x, x]
      })
  }

  func testSharedMemory() throws {
    try assertGuards(
      .sharedMemory, plain,
      .init {
        let x = try wave([2, 2])
        return [x, try x.detach()]
      })
  }

  func testTheDistanceInSharedMemory() throws {
    func call(_ start: Int) -> CheckedCall {
      .init {
        let base = try wave([5, 2])
        return [try base.slice(0, from: 1, to: 3), try base.slice(0, from: start, to: start + 2)]
      }
    }
    try assertGuards(.sharedMemory, call(2), call(3))
  }

  func testTheDistanceBetweenTypesIsInBytes() throws {
    // In elements of its own type, the second starts one before the first both times.
    func call(_ first: Int, _ second: Int) -> CheckedCall {
      .init {
        let base = try wave([16])
        let wide = try OperatorLibrary.named("aten.view.dtype")(.reference(base), .dtype(.float64))
        return [try base.slice(0, from: first, to: first + 4), try wide.slice(0, from: second, to: second + 4)]
      }
    }
    try assertGuards(.sharedMemory, call(2, 1), call(3, 2))
  }

  func testGradMode() throws {
    try assertGuards(.gradMode, plain, .init(isGradEnabled: false) { [try wave([2, 2]), try wave([2, 2], from: 1)] })
  }

  func testInferenceMode() throws {
    let function = aotFunction { (x: Tensor) in try x + 1 }
    let x = try wave([2])
    _ = try (function(x), inferenceMode { try function(x) }, function(x), inferenceMode { try function(x) })
    XCTAssertEqual(function.entryCount, 2)
  }

  func testConstantsAndStructure() throws {
    let function = aotFunction { (parts: [Tensor], factor: Double) in
      try parts.reduce(wave([2])) { try $0 + $1 * factor }
    }
    let x = try wave([2])
    for _ in 0..<2 {
      XCTAssertEqual(try function([x], 1).elements(as: Float.self), try (wave([2]) + x).elements(as: Float.self))
      XCTAssertEqual(try function([x], 2).elements(as: Float.self), try (wave([2]) + x * 2).elements(as: Float.self))
      XCTAssertEqual(try function([], 1).elements(as: Float.self), try wave([2]).elements(as: Float.self))
    }
    XCTAssertEqual(function.entryCount, 3)
  }
}
