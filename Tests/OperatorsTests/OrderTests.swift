import TensorCore
import XCTest

@testable import Operators

/// Order, search and what is distinct.
final class OrderTests: XCTestCase {
  private let ties = [2, .nan, -0.0, 0, 2, -1] as [Float]

  func testOrderStatisticsSeeNaN() throws {
    let x = try Tensor(ties)
    XCTAssert(try x.median().item().doubleValue.isNaN)
    XCTAssertEqual(try x.median(0).indices.elements(), [1])
    XCTAssertEqual(try x.nanmedian().elements(), [0] as [Float])
    XCTAssertEqual(try x.kthvalue(5).values.elements(), [2] as [Float])
    XCTAssertEqual(try x.mode().values.elements(), [0] as [Float])
    XCTAssertEqual(try x.mode().indices.elements(), [3])
    XCTAssertThrowsError(try x.kthvalue(7))
    XCTAssertThrowsError(try Tensor([true]).median())
    XCTAssert(try Tensor([] as [Float]).median().item().doubleValue.isNaN)
  }

  func testSelectionAgreesWithSorting() throws {
    let count = 257
    let x = try Tensor((0..<count).map { Int32(($0 * 7919) % 61) })
    let (sorted, order) = try x.sort()
    for k in [1, 2, 100, count] {
      XCTAssertEqual(try x.kthvalue(k).values.elements(as: Int32.self)[0], try sorted.elements()[k - 1])
      let least = try x.topk(k, largest: false)
      XCTAssertEqual(try least.values.elements(as: Int32.self), try Array(sorted.elements(as: Int32.self).prefix(k)))
      XCTAssertEqual(try least.indices.elements(as: Int.self), try Array(order.elements(as: Int.self).prefix(k)))
    }
  }

  func testSearch() throws {
    let rows = try Tensor([1, 3, 5, 2, 4, 6] as [Float], shape: [2, 3])
    let values = try Tensor([3, .nan, 2, 7] as [Float], shape: [2, 2])
    XCTAssertEqual(try rows.searchsorted(values).elements(), [1, 3, 0, 3])
    XCTAssertEqual(try rows.searchsorted(values, right: true).elements(), [2, 3, 1, 3])
    XCTAssertEqual(try Tensor([1, 2, 3]).searchsorted(2.5).elements(), [2])
    let (unsorted, sorter) = (try Tensor([5, 1, 3] as [Float]), try Tensor([1, 2, 0]))
    XCTAssertEqual(try unsorted.searchsorted(values, sorter: sorter).elements(), [1, 3, 1, 3])
    XCTAssertThrowsError(try unsorted.searchsorted(values, sorter: Tensor([1, 2, 3])))
    XCTAssertThrowsError(try rows.searchsorted(1.0))
    XCTAssertEqual(try values.isin(Tensor([3, .nan] as [Float])).elements(), [true, false, false, false])
    XCTAssertEqual(try Tensor([1, 2]).isin(1.5, inverted: true).elements(), [true, true])
  }

  func testDistinctElements() throws {
    let (values, inverse, counts) = try Tensor(ties).unique()
    XCTAssertEqual(try values.elements(as: Float.self).map(\.description), ["-1.0", "-0.0", "2.0", "nan"])
    XCTAssertEqual(try inverse.elements(), [2, 3, 1, 1, 2, 0])
    XCTAssertEqual(try counts.elements(), [1, 2, 2, 1])
    let rows = try Tensor([1, 2, 1, 2, 0, 0, 1, 2], shape: [4, 2])
    let runs = try rows.uniqueConsecutive(0)
    XCTAssertEqual(try runs.values.elements(), [1, 2, 0, 0, 1, 2])
    XCTAssertEqual(try runs.inverse.elements(), [0, 0, 1, 2])
    XCTAssertEqual(try runs.counts.elements(), [2, 1, 1])
    XCTAssertThrowsError(try Tensor.zeros([0, 3]).uniqueConsecutive(1))
  }
}
