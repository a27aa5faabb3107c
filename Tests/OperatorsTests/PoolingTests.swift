import GraphIR
import TensorCore
import XCTest

@testable import Operators

final class PoolingTests: XCTestCase {
  private func plane(_ elements: [Float], _ shape: [Int]) throws -> Tensor { try Tensor(elements, shape: [1] + shape) }

  func testMaximaAndTheirPlaces() throws {
    let x = try plane([1, 5, 2, 0, 3, 4, 9, 8, 7], [3, 3])
    let results = try OperatorLibrary.maxPool2dWithIndices.several(.reference(x), Value([2, 2]), Value([1, 1]))
    XCTAssertEqual(try results[0].elements(), [5, 5, 9, 8] as [Float])
    XCTAssertEqual(try results[1].elements(), [1, 1, 6, 7] as [Int])
    XCTAssertEqual(try x.maxPool2d(2, ceilMode: true).elements(), [5, 4, 9, 7].map { Float($0) })
  }

  /// Padding is never where the maximum is, even of elements that are as low as it.
  func testPaddingIsNotFound() throws {
    let x = try plane([-.infinity, -.infinity, -.infinity, .nan], [2, 2])
    let results = try OperatorLibrary.maxPool2dWithIndices.several(
      .reference(x), Value([2, 2]), Value([2, 2]), Value([1, 1]))
    XCTAssertEqual(try results[1].elements(), [0, 1, 2, 3] as [Int])
    XCTAssert(try results[0].elements(as: Float.self)[3].isNaN)
  }

  func testMeans() throws {
    let x = try plane([1, 2, 3, 4], [2, 2])
    XCTAssertEqual(try x.avgPool2d(2).elements(), [2.5] as [Float])
    XCTAssertEqual(try x.avgPool2d(2, padding: 1).elements(), [0.25, 0.5, 0.75, 1] as [Float])
    XCTAssertEqual(try x.adaptiveAvgPool2d(1, 1).elements(), [2.5] as [Float])
    let row = try plane([1, 2, 3, 4, 5], [1, 5])
    XCTAssertEqual(try row.adaptiveAvgPool2d(1, 2).elements(), [2, 4] as [Float])
  }

  func testRefusals() throws {
    let x = try plane([1, 2, 3, 4], [2, 2])
    XCTAssertThrowsError(try x.maxPool2d(3))
    XCTAssertThrowsError(try x.maxPool2d(2, padding: 2))
    XCTAssertThrowsError(try x.maxPool2d(0))
    XCTAssertThrowsError(try x.avgPool2d(2, stride: -1))
    XCTAssertThrowsError(try x.adaptiveAvgPool2d(-1, 1))
  }
}
