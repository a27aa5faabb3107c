import AOTAutogradTesting
import EagerAutograd
import GraphIR
import Operators
import TensorCore
import XCTest

/// Wrapper tensors are tensors: identity, aliasing, versions, gradients.
final class SubclassTests: XCTestCase {
  private func pair(_ a: [Double], _ b: [Double], _ shape: [Int]? = nil) throws -> Tensor {
    try Tensor(wrapping: TwoTensor(constant(a, shape), constant(b, shape)))
  }

  private func assertPair(
    _ tensor: Tensor?, _ a: [Double], _ b: [Double], file: StaticString = #filePath, line: UInt = #line
  ) throws {
    let pair = try XCTUnwrap(tensor?.unwrapped(as: TwoTensor.self), "no TwoTensor", file: file, line: line)
    assertEqual(try pair.a.contiguous().values, a, file: file, line: line)
    assertEqual(try pair.b.contiguous().values, b, file: file, line: line)
  }

  func testOperatorsApplyToBoth() throws {
    let x = try pair([1, 2], [3, 4])
    XCTAssertEqual(x.shape, [2])
    XCTAssertEqual(x.dtype, .float64)
    XCTAssertFalse(x.isFake)
    try assertPair(x + constant([10, 20]), [11, 22], [13, 24])
    try assertPair(constant([10, 20]) - x, [9, 18], [7, 16])
    try assertPair(Tensor.cat([x, x]), [1, 2, 1, 2], [3, 4, 3, 4])
    XCTAssertEqual("\(x)", "TwoTensor(a: tensor([1.0, 2.0], float64), b: tensor([3.0, 4.0], float64))")
  }

  func testLeavesGetGradientsOfTheirKind() throws {
    let x = try pair([1, 2], [3, 4]).requiringGrad()
    let plain = try leaf([5, 6])
    let y = try x * x * plain
    XCTAssertFalse(y.isLeaf)
    try y.backward(gradient: pair([1, 1], [1, 10]))
    try assertPair(x.grad, [10, 24], [30, 480])
    try assertPair(plain.grad, [1, 4], [9, 160])
    try (x * 1).backward(gradient: pair([1, 1], [1, 1]))
    try assertPair(x.grad, [11, 25], [31, 481])
    // A gradient that is there is added to, whatever the two are.
    try (plain * 2).backward(gradient: constant([1, 1]))
    try assertPair(plain.grad, [3, 6], [11, 162])
    try assertPair(grad(of: x.exp().log(), with: x, gradient: constant([1, 1])), [1, 1], [1, 1])
  }

  func testWritesGiveTheTensorItself() throws {
    let x = try pair([1, 2], [3, 4])
    let inner = try XCTUnwrap(x.unwrapped(as: TwoTensor.self))
    let version = x.storage.version
    XCTAssertTrue(try x.mul_(2) === x)
    XCTAssertEqual(x.storage.version, version + 1)
    assertEqual(try inner.a.values, [2, 4])
    let (product, saved) = try { () throws in
      let leaf = try pair([1, 2], [3, 4]).requiringGrad()
      let saved = try leaf * 1
      return (try saved * saved, saved)
    }()
    try saved.add_(1)
    assertThrows(.modifiedInPlace) { try product.sum().backward(gradient: pair([1], [1], [])) }
    let leaf = try pair([1], [1]).requiringGrad()
    assertThrows(.leafInPlace) { try leaf.add_(1) }
  }

  func testViewsShareMemory() throws {
    let x = try pair([1, 2, 3, 4], [5, 6, 7, 8], [2, 2])
    let row = try x[1]
    XCTAssertTrue(row.storage === x.storage)
    XCTAssertTrue(row.isView)
    XCTAssertEqual(row.layout.offset, 2)
    try row.fill_(0)
    try assertPair(x, [1, 2, 0, 0], [5, 6, 0, 0])
    XCTAssertEqual(row.storage.version, 1)
    XCTAssertTrue(try x.detach().storage === x.storage)
    XCTAssertFalse(try x.clone().storage === x.storage)
    for part in try x.unbind(0) { XCTAssertTrue(part.storage === x.storage) }

    let leaf = try pair([1, 2], [3, 4]).requiringGrad()
    let base = try leaf * 1
    try base[0].mul_(pair([10], [20], []))
    try base.backward(gradient: pair([1, 1], [1, 1]))
    try assertPair(leaf.grad, [10, 1], [20, 1])
  }

  func testLayoutChanges() throws {
    let x = try pair([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [2, 3])
    let view = try x.view([3, 2])
    XCTAssertTrue(try x.t_() === x)
    XCTAssertEqual(x.shape, [3, 2])
    try assertPair(x, [1, 4, 2, 5, 3, 6], [6, 3, 5, 2, 4, 1])
    try view.zero_()
    try assertPair(x, [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0])
  }

  func testNesting() throws {
    let nested = try Tensor(wrapping: TwoTensor(pair([1], [2]), pair([3], [4]))).requiringGrad()
    let inner = try XCTUnwrap((nested * pair([10], [100])).unwrapped(as: TwoTensor.self))
    try assertPair(inner.a, [10], [20])
    try assertPair(inner.b, [300], [400])
    try (nested * nested).backward(gradient: pair([1], [1]))
    let gradient = try XCTUnwrap(nested.grad?.unwrapped(as: TwoTensor.self))
    try assertPair(gradient.a, [2], [4])
    try assertPair(gradient.b, [6], [8])
  }

  func testErrors() throws {
    let x = try pair([1, 2], [3, 4])
    XCTAssertThrowsError(try x.elements(as: Double.self)) { XCTAssertEqual(($0 as? TensorError)?.code, .noMemory) }
    XCTAssertThrowsError(try constant([1, 2]).add_(x)) { XCTAssertEqual(($0 as? OperatorError)?.code, .argument) }
    XCTAssertThrowsError(try x.matmul(constant([1, 2, 3]))) { XCTAssertEqual(($0 as? OperatorError)?.code, .shape) }
    XCTAssertThrowsError(try TwoTensor(constant([1]), constant([1, 2])))
    XCTAssertThrowsError(try x.resize_([100])) { XCTAssertEqual(($0 as? OperatorError)?.code, .notImplemented) }

    struct Unhandling: TensorSubclass {
      var tensor: Tensor
      var innerTensors: KeyValuePairs<String, Tensor> { ["tensor": tensor] }
      var outer: TensorMeta { TensorMeta(tensor) }
      init(_ tensor: Tensor) { self.tensor = tensor }
      init(innerTensors: [Tensor], metadata: NoMetadata, outer: TensorMeta) { self.init(innerTensors[0]) }
      static func dispatch(_ call: OperatorCall) throws -> Value? { nil }
    }
    let unhandled = try Tensor(wrapping: Unhandling(constant([1])))
    XCTAssertThrowsError(try unhandled.exp()) {
      XCTAssertEqual(($0 as? OperatorError)?.code, .notImplemented)
      XCTAssertTrue("\($0)".contains("aten.exp.default"), "\($0)")
      XCTAssertTrue("\($0)".contains("Unhandling"), "\($0)")
    }
    // A pair hands the other on to operators on its own inner tensors.
    XCTAssertThrowsError(try x + unhandled)
  }
}
