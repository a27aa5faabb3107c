import GraphIR
import TensorCore
import XCTest

@testable import Operators

final class ConvolutionTests: XCTestCase {
  private func counting(_ shape: [Int]) throws -> Tensor {
    try Tensor((0..<shape.reduce(1, *)).map { Float($0 % 7) - 2 }, shape: shape)
  }

  func testConvolutionOfAPlane() throws {
    let x = try Tensor((0..<9).map { Float($0) }, shape: [1, 1, 3, 3])
    let w = try Tensor([1, 0, 0, -1] as [Float], shape: [1, 1, 2, 2])
    XCTAssertEqual(try x.conv2d(w).elements(), [-4, -4, -4, -4] as [Float])
    XCTAssertEqual(try x.conv2d(w, bias: Tensor([1] as [Float])).elements(), [-3, -3, -3, -3] as [Float])
    XCTAssertEqual(try x.conv2d(w, stride: 2, padding: 1).elements(), [0, -2, -6, -4] as [Float])
    XCTAssertEqual(try x.conv2d(w, dilation: 2).elements(), [-8] as [Float])
  }

  /// Groups are convolutions of their own.
  func testGroups() throws {
    let (x, w) = (try counting([2, 4, 5, 4]), try counting([6, 2, 3, 2]))
    let whole = try x.conv2d(w, padding: 1, groups: 2)
    let (xs, ws) = (try x.chunk(2, dimension: 1), try w.chunk(2))
    let parts = try zip(xs, ws).map { try $0.conv2d($1, padding: 1) }
    XCTAssertEqual(try whole.elements(as: Float.self), try Tensor.cat(parts, dimension: 1).elements())
  }

  /// A transposed convolution is the gradient of a convolution with respect to its input.
  func testTransposedConvolutionIsAGradient() throws {
    let (x, w) = (try counting([1, 2, 6, 5]), try counting([3, 2, 3, 3]))
    let y = try x.conv2d(w, stride: 2, padding: 1)
    let ones = try y.onesLike()
    let pair = [Value([2, 2]), Value([1, 1]), Value([1, 1])]
    let gradient = try OperatorLibrary.convolutionBackward.call(
      [.reference(ones), .reference(x), .reference(w), .none] + pair
        + [.bool(false), Value([0, 0]), .int(1), .list([.bool(true), .bool(false), .bool(false)])]
    ).elements?[0].reference
    let transposed = try OperatorLibrary.convolution(
      [.reference(ones), .reference(w), .none] + pair + [.bool(true), Value([1, 0]), .int(1)])
    XCTAssertEqual(try gradient?.elements(as: Float.self), try transposed.elements())
  }

  func testConvolutionWithoutABatch() throws {
    let (x, w) = (try counting([2, 7]), try counting([3, 2, 3]))
    XCTAssertEqual(try x.conv1d(w).shape, [3, 5])
    XCTAssertEqual(
      try x.conv1d(w).elements(as: Float.self), try x.unsqueeze(0).conv1d(w).elements())
  }

  func testRefusals() throws {
    let x = try counting([1, 3, 4, 4])
    XCTAssertThrowsError(try x.conv2d(counting([2, 2, 3, 3]))) {
      XCTAssertEqual(
        ($0 as? OperatorError)?.message,
        "weight of sizes [2, 2, 3, 3] in 1 groups does not fit an input of 3 channels")
    }
    XCTAssertThrowsError(try x.conv2d(counting([2, 3, 5, 5])))
    XCTAssertThrowsError(try x.conv2d(counting([2, 3, 3, 3]), stride: 0))
    XCTAssertThrowsError(try x.conv2d(counting([2, 3, 3, 3]), bias: counting([3])))
    XCTAssertThrowsError(try x.conv2d(counting([2, 3, 3, 3]), groups: 0))
  }
}
