import TensorCore
import XCTest

@testable import Operators

final class MatmulTests: XCTestCase {
  private func counting(_ shape: [Int], dtype: DType = .float32) throws -> Tensor {
    try Tensor((0..<shape.reduce(1, *)).map { Float($0) }, shape: shape).to(dtype)
  }

  func testProductsOfMatricesAndVectors() throws {
    let (a, b, v) = (try counting([2, 3]), try counting([3, 2]), try Tensor([1, 0, -1] as [Float]))
    XCTAssertEqual(try a.mm(b).elements(), [10, 13, 28, 40] as [Float])
    XCTAssertEqual(try a.mm(a.t()).elements(), [5, 14, 14, 50] as [Float])
    XCTAssertEqual(try a.mv(v).elements(), [-2, -2] as [Float])
    XCTAssertEqual(try v.dot(v).elements(), [2] as [Float])
    XCTAssertEqual(try v.dot(v).shape, [])
    XCTAssertEqual(try v.outer(v).elements(), [1, 0, -1, 0, 0, 0, -1, 0, 1] as [Float])
    XCTAssertEqual(try a.to(.int64).mm(b.to(.int64)).elements(), [10, 13, 28, 40] as [Int])
  }

  func testProductsAddedToATensor() throws {
    let (a, b) = (try counting([2, 3]), try counting([3, 2]))
    let bias = try Tensor([1, 2] as [Float])
    XCTAssertEqual(try bias.addmm(a, b, beta: 2, alpha: 0.5).elements(), [7, 10.5, 16, 24] as [Float])
    // What a factor of 0 meets is ignored, NaN included.
    let nan = try Tensor([Float.nan, .nan])
    XCTAssertEqual(try nan.addmm(a, b, beta: 0).elements(), [10, 13, 28, 40] as [Float])
    let x = try counting([2, 2])
    try x.addmm_(x, x)
    XCTAssertEqual(try x.elements(), [2, 4, 8, 14] as [Float])
  }

  func testMatmulOfEveryCombinationOfRanks() throws {
    let shapes: [([Int], [Int], [Int])] = [
      ([3], [3], []), ([2, 3], [3], [2]), ([3], [3, 4], [4]), ([2, 3], [3, 4], [2, 4]),
      ([5, 2, 3], [3], [5, 2]), ([5, 2, 3], [3, 4], [5, 2, 4]), ([3], [5, 3, 4], [5, 4]),
      ([2, 3], [5, 3, 4], [5, 2, 4]), ([5, 1, 2, 3], [6, 3, 4], [5, 6, 2, 4]), ([2, 0], [0, 3], [2, 3]),
      ([4, 2, 0], [0, 3], [4, 2, 3]),
    ]
    for (left, right, result) in shapes {
      let (a, b) = (try counting(left), try counting(right))
      let product = try a.matmul(b)
      XCTAssertEqual(product.shape, result, "\(left) @ \(right)")
      XCTAssertFalse(product.isView && left.count > 2, "\(left) @ \(right)")
      let total = try product.sum().item().doubleValue
      // The sum of a product's elements, by summing rows and columns first.
      guard left.count == 2 && right.count == 2 else { continue }
      XCTAssertEqual(total, try a.sum([0]).dot(b.sum([1])).item().doubleValue)
    }
  }

  func testLinearIsOneProductWithItsBias() throws {
    let (x, w, b) = (try counting([2, 1, 3]), try counting([2, 3]), try Tensor([1, -1] as [Float]))
    XCTAssertEqual(try x.linear(w, bias: b).shape, [2, 1, 2])
    XCTAssertEqual(try x.linear(w, bias: b).elements(), [6, 13, 15, 49] as [Float])
    XCTAssertEqual(try x.linear(w).elements(), [5, 14, 14, 50] as [Float])
  }

  func testRefusals() throws {
    let (a, b) = (try counting([2, 3]), try counting([2, 3]))
    for body in [{ try a.mm(b) }, { try a.matmul(b) }, { try a.bmm(b) }, { try a.mm(b.t().to(.float64)) }] {
      XCTAssertThrowsError(try body()) { XCTAssert($0 is OperatorError, "\($0)") }
    }
    XCTAssertThrowsError(try a.mm(b)) {
      XCTAssertEqual(($0 as? OperatorError)?.message, "sizes [2, 3] and [2, 3] cannot be multiplied")
    }
  }
}
