import GraphIR
import TensorCore
import XCTest

@testable import Operators

final class EinsumTests: XCTestCase {
  private func counting(_ shape: Int...) throws -> Tensor {
    try Tensor((0..<shape.reduce(1, *)).map { Float($0 + 1) }, shape: shape)
  }

  func testEquations() throws {
    let (a, b, square) = (try counting(2, 3), try counting(3, 2), try counting(3, 3))
    let cases: [(Tensor, [Float])] = try [
      (.einsum("ij,jk->ik", a, b), [22, 28, 49, 64]), (.einsum(" i j , j k -> i k ", a, b), [22, 28, 49, 64]),
      (.einsum("ii", square), [15]), (.einsum("ii->i", square), [1, 5, 9]), (.einsum("ba", a), [1, 4, 2, 5, 3, 6]),
      (.einsum("ij->", a), [21]), (.einsum("...i->i", a), [5, 7, 9]),
      (.einsum("i,j->ji", Tensor([1, 2] as [Float]), Tensor([3, 4] as [Float])), [3, 6, 4, 8]),
      (.einsum("ij,jk,kl->il", a, b, counting(2, 2)), [106, 156, 241, 354]),
      (.einsum("...ij,...jk", counting(2, 2, 3), b), [22, 28, 49, 64, 76, 100, 103, 136]),
      (.einsum("i,i->i", counting(1), counting(3)), [1, 2, 3]),
    ]
    for (result, needed) in cases { XCTAssertEqual(try result.elements(), needed) }
    XCTAssertEqual(try Tensor.einsum("a...,...b->...", counting(2, 3, 4), counting(4, 5)).shape, [3, 4])
  }

  func testRefusals() throws {
    let a = try counting(2, 3)
    for equation in ["i1", "ij->ik", "ij->ii", "i", "ijk", "ij,jk", "ii", "ij->ij->ij", "..i", "......"] {
      XCTAssertThrowsError(try Tensor.einsum(equation, a), equation) { XCTAssert($0 is OperatorError, "\($0)") }
    }
    XCTAssertThrowsError(try Tensor.einsum("ij,ij", a, counting(3, 3)))
  }

  func testPathNamesPairs() throws {
    let operands = try [counting(2, 3), counting(3, 2), counting(2, 2)].map { Value.reference($0) }
    let result = try OperatorLibrary.einsum(.string("ij,jk,kl->il"), .list(operands), Value([1, 2, 0, 1]))
    XCTAssertEqual(try result.elements(), [106, 156, 241, 354] as [Float])
    for path in [[1, 2], [1, 5, 0, 1], [1, 1, 0, 1]] {
      XCTAssertThrowsError(try OperatorLibrary.einsum(.string("ij,jk,kl->il"), .list(operands), Value(path)))
    }
  }
}
