import GraphIR
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

  /// Where PyTorch takes the node on the CPU, step by step gives the same, for grouped heads, masks and causal rows.
  func testTheNodeIsTheStepsItStandsFor() throws {
    func random(_ shape: [Int], _ seed: UInt64) throws -> Tensor {
      try Tensor.randn(shape, dtype: .float64, generator: Generator(seed: seed))
    }
    let (q, k, v) = (try random([2, 4, 3, 5], 1), try random([2, 2, 6, 5], 2), try random([2, 2, 6, 5], 3))
    let hidden = try Tensor([false, true, true, true, true, false], shape: [1, 6]).expand([3, 6])
    let masks = [
      nil, try random([2, 1, 3, 6], 4), try Tensor.zeros([3, 6], dtype: .float64).maskedFill(hidden, -1e3),
    ]
    for (mask, isCausal) in masks.map({ ($0, false) }) + [(nil, true)] {
      let arguments = [q, k, v].map { Value.reference($0) }
      let masked = mask.map { Value.reference($0) } ?? .none
      let node = try OperatorLibrary.flashAttentionForward.several(
        arguments[0], arguments[1], arguments[2], .double(0), .bool(isCausal), masked)[0]
      let steps = try OperatorLibrary.attentionMath.several(
        arguments[0], arguments[1], arguments[2], masked, .double(0), .bool(isCausal), .none, .none, .bool(true))[0]
      for (a, b) in zip(try node.elements(as: Double.self), try steps.elements(as: Double.self)) {
        XCTAssertEqual(a, b, accuracy: 1e-12)
      }
    }
  }
}
