import TensorCore
import XCTest

@testable import Operators

final class CopyTests: XCTestCase {
  func testCopiesKeepOrMakeStrides() throws {
    let x = try Tensor((0..<6).map { Float($0) }, shape: [2, 3])
    XCTAssertEqual(try x.t().clone().strides, [1, 3])
    XCTAssertEqual(try x.t().clone(memoryFormat: .contiguous).strides, [2, 1])
    XCTAssertEqual(try x.slice(1, to: 2).clone().strides, [2, 1])
    XCTAssert(try x.contiguous() === x)
    XCTAssertEqual(try x.t().contiguous().elements(), [0, 3, 1, 4, 2, 5] as [Float])
    let image = try Tensor.zeros([1, 2, 2, 3]).clone(memoryFormat: .channelsLast)
    XCTAssertEqual(image.strides, [12, 1, 6, 2])
    XCTAssertThrowsError(try x.clone(memoryFormat: .channelsLast))
  }

  func testCasts() throws {
    let x = try Tensor([-1.5, 0, 2.5] as [Float])
    XCTAssert(try x.float() === x)
    XCTAssertEqual(try x.to(.int32).elements(), [-1, 0, 2] as [Int32])
    XCTAssertEqual(try x.bool().elements(), [true, false, true])
    XCTAssertEqual(try x.half().double().elements(), [-1.5, 0, 2.5])
    XCTAssertEqual(try x[2].item(), .double(2.5))
    XCTAssertEqual(try x.long()[0].item(), .int(-1))
    XCTAssertThrowsError(try x.item())
  }

  func testAssignmentBroadcastsConvertsAndOverlaps() throws {
    let x = try Tensor.zeros([2, 3], dtype: .int64)
    try x.copy_(Tensor([1.5, 2.5, 3.5] as [Float]))
    XCTAssertEqual(try x.elements(), [1, 2, 3, 1, 2, 3] as [Int])
    let square = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    try square.slice(0, to: 1).copy_(square.slice(1, to: 1).t())
    XCTAssertEqual(try square.elements(), [1, 3, 3, 4] as [Float])
    XCTAssertThrowsError(try x.copy_(Tensor.zeros([2, 2])))
  }

  func testJoining() throws {
    let (a, b) = (try Tensor([1, 2], shape: [1, 2]), try Tensor([0.5, 1] as [Float], shape: [1, 2]))
    let joined = try Tensor.cat([a, Tensor.zeros([0]), b], dimension: 0)
    XCTAssertEqual(try joined.elements(), [1, 2, 0.5, 1] as [Float])
    XCTAssertEqual(try Tensor.stack([b, b], dimension: 2).shape, [1, 2, 2])
    XCTAssertEqual(try b.repeated([2, 1, 2]).elements(), [0.5, 1, 0.5, 1, 0.5, 1, 0.5, 1] as [Float])
    XCTAssertEqual(try joined.flip([0, 1]).elements(), [1, 0.5, 2, 1] as [Float])
    XCTAssertEqual(try joined.roll([1], [1]).elements(), [2, 1, 1, 0.5] as [Float])
    XCTAssertEqual(try b.pad([1, 0, 0, 1], value: 9).elements(), [9, 0.5, 1, 9, 9, 9] as [Float])
    XCTAssertThrowsError(try Tensor.cat([a, Tensor.zeros([1, 3])], dimension: 0))
    XCTAssertThrowsError(try Tensor.cat([]))
    XCTAssertThrowsError(try Tensor.stack([a, joined]))
  }
}
