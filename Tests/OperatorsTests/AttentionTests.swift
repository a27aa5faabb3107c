import TensorCore
import XCTest

@testable import Operators

final class AttentionTests: XCTestCase {
  private let value = [1, 2, 3, 4, 5, 6] as [Float]

  /// Where all scores are equal, each row is the mean of the values that it sees.
  func testRowsAreMeansOfWhatTheySee() throws {
    let zeros = try Tensor.zeros([1, 3, 2])
    let v = try Tensor(value, shape: [1, 3, 2])
    XCTAssertEqual(
      try zeros.scaledDotProductAttention(zeros, v, isCausal: true).elements(), [1, 2, 2, 3, 3, 4] as [Float])
    let mask = try Tensor([true, false, false, false, false, true, false, false, false], shape: [3, 3])
    XCTAssertEqual(
      try zeros.scaledDotProductAttention(zeros, v, mask: mask).elements(), [1, 2, 5, 6, 0, 0] as [Float])
  }

  func testRefusals() throws {
    let q = try Tensor.zeros([1, 3, 2])
    XCTAssertThrowsError(try q.scaledDotProductAttention(Tensor.zeros([1, 3, 4]), q))
    XCTAssertThrowsError(try q.scaledDotProductAttention(q, Tensor.zeros([1, 2, 2])))
    XCTAssertThrowsError(try q.scaledDotProductAttention(q, q, mask: q, isCausal: true))
    XCTAssertThrowsError(try q.scaledDotProductAttention(q, q, mask: Tensor([1])))
  }
}
