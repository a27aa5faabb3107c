import GraphIR
import TensorCore
import XCTest

@testable import Operators

/// Operators said in terms of others.
final class DecomposedTests: XCTestCase {
  /// beta · self + left @ right, and the product's transpose, over a view.
  private static let product: OperatorDefinition = .decomposed(
    "test::product(Tensor self, Tensor left, Tensor right, *, Scalar beta=1) -> (Tensor, Tensor)"
  ) { call in
    let product = try call.tensor(1).matmul(call.tensor(2))
    let sum = try product + call.tensor(0) * call.scalar(3)
    return .tuple([.reference(sum), .reference(try product.transpose(0, 1))])
  }

  private static let rounding: OperatorDefinition = .decomposed("test::halved_floor(Tensor self) -> Tensor") { call in
    .reference(try (call.tensor(0) * 0.5).floor())
  }
  .inPlaceVariant()

  private func iota(_ shape: [Int]) throws -> Tensor {
    try Tensor((0..<shape.reduce(1, *)).map { Float($0) }, shape: shape)
  }

  func testBodyBecomesTheKernel() throws {
    let (left, right) = (try iota([2, 3]), try iota([4, 3]).transpose(0, 1))
    let results = try Self.product.several(
      .reference(iota([4])), .reference(left), .reference(right), .double(2))
    let product = try left.matmul(right)
    XCTAssertEqual(try results[0].elements(as: Float.self), try (product + iota([4]) * 2).elements(as: Float.self))
    XCTAssertEqual(results[1].shape, [4, 2])
    XCTAssertEqual(try results[1].elements(as: Float.self), try product.transpose(0, 1).elements(as: Float.self))
  }

  func testInPlaceVariantWritesThroughViews() throws {
    let memory = try iota([2, 4])
    _ = try Self.rounding.inPlace(.reference(memory.transpose(0, 1).narrow(0, from: 1, length: 2)))
    XCTAssertEqual(try memory.elements(as: Float.self), [0, 0, 1, 3, 4, 2, 3, 7])
    XCTAssertEqual(memory.storage.version, 1)
  }

  func testIsOneNodeWhenTraced() throws {
    let tracer = GraphTracer()
    let input = try tracer.placeholder("x", TensorMeta(dtype: .float32, sizes: [3]), descriptor: nil)
    _ = try tracer.recording { try Self.rounding(.reference(input)) }
    XCTAssertEqual(tracer.graph.nodes.compactMap { tracer.graph[$0].target?.name }, [Self.rounding.name])
  }

  func testErrorsNameTheOperator() throws {
    XCTAssertThrowsError(
      try Self.product.several(.reference(iota([4])), .reference(iota([2, 3])), .reference(iota([2, 3])), .int(1))
    ) { error in
      XCTAssertEqual((error as? OperatorError)?.name, Self.product.name)
      XCTAssert("\(error)".contains("aten.mm"), "\(error)")
    }
  }
}
