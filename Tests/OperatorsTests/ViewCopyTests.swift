import GraphIR
import TensorCore
import XCTest

@testable import Operators

/// Operators that copy what a view gives, and views of memory as another dtype.
final class ViewCopyTests: XCTestCase {
  private func counting(_ shape: [Int]) throws -> Tensor {
    try Tensor((0..<shape.reduce(1, *)).map { Float($0) }, shape: shape)
  }

  func testEveryCopyIsDenseAndNew() throws {
    let x = try counting([4, 3]).t()
    let calls: [(OperatorDefinition, [Value])] = [
      (OperatorLibrary.alias, []), (OperatorLibrary.detach, []), (OperatorLibrary.t, []),
      (OperatorLibrary.permute, [Value([1, 0])]), (OperatorLibrary.transpose, [.int(0), .int(1)]),
      (OperatorLibrary.expand, [Value([2, 3, 4])]), (OperatorLibrary.unsqueeze, [.int(1)]),
      (OperatorLibrary.squeeze, []), (OperatorLibrary.squeezeDimensions, [Value([0])]),
      (OperatorLibrary.selectInt, [.int(0), .int(1)]), (OperatorLibrary.slice, [.int(1), .int(1), .none, .int(2)]),
      (OperatorLibrary.diagonal, []), (OperatorLibrary.unfold, [.int(1), .int(2), .int(2)]),
      (OperatorLibrary.asStrided, [Value([2, 2]), Value([1, 5])]), (OperatorLibrary.split, [.int(2), .int(1)]),
      (OperatorLibrary.splitWithSizes, [Value([1, 3]), .int(1)]), (OperatorLibrary.unbind, [.int(1)]),
      (OperatorLibrary.viewDType, [.dtype(.int32)]),
    ]
    for (view, arguments) in calls {
      let views = try view.call([.reference(x)] + arguments).references
      let copies = try view.copying.call([.reference(x)] + arguments).references
      XCTAssertEqual(copies.count, views.count)
      for (view, copy) in zip(views, copies) {
        XCTAssertEqual(copy.layout, Layout(contiguous: view.sizes))
        XCTAssertEqual(copy.dtype, view.dtype)
        XCTAssertFalse(copy.storage === x.storage)
        XCTAssertFalse(copy.isView)
        XCTAssertEqual(try copy.to(.float64).elements(as: Double.self), try view.to(.float64).elements())
      }
    }
  }

  func testACopyThatNoViewCouldGive() throws {
    let x = try counting([2, 3]).t()
    XCTAssertThrowsError(try x.view([6]))
    XCTAssertEqual(try OperatorLibrary.viewCopy(.reference(x), Value([6])).elements(), [0, 3, 1, 4, 2, 5] as [Float])
  }

  func testACopyMayReachOutsideItsTensorButNotItsStorage() throws {
    let part = try counting([6]).slice(0, from: 2, to: 4)
    let copy = OperatorLibrary.asStrided.copying
    XCTAssertEqual(try copy(.reference(part), Value([3]), Value([2]), .int(1)).elements(), [1, 3, 5] as [Float])
    XCTAssertThrowsError(try copy(.reference(part), Value([3]), Value([2]), .int(2))) {
      XCTAssert("\($0)".contains("as_strided_copy"))
    }
  }

  func testMemoryAsAnotherDType() throws {
    let x = try Tensor([1, -2] as [Float])
    XCTAssertEqual(try x.view(.int32).elements(), [0x3F80_0000, Int32(bitPattern: 0xC000_0000)])
    XCTAssertEqual(try x.view(.int16).elements(), [0, 0x3F80, 0, Int16(bitPattern: 0xC000)])
    XCTAssertEqual(try x.view(.float64).shape, [1])
    let bytes = try Tensor([0, 2, 255] as [UInt8])
    XCTAssertEqual(try bytes.view(.bool).elements(), [false, true, true])
    try x.view(.int32).fill_(0x4000_0000)
    XCTAssertEqual(try x.elements(), [2, 2] as [Float])
    XCTAssertEqual(x.storage.version, 1)
  }

  func testMemoryThatDoesNotFitAnotherDType() throws {
    let x = try counting([3, 4])
    let refused: [() throws -> Tensor] = [
      { try x.t().view(.int16) }, { try x.t().view(.float64) }, { try x.slice(1, from: 1, to: 3).view(.float64) },
      { try x.slice(1, to: 3).view(.float64) }, { try Tensor.scalar(1.0).view(.int8) },
      { try self.counting([3, 5]).slice(1, to: 4).view(.float64) },
    ]
    for body in refused {
      XCTAssertThrowsError(try body()) { XCTAssertEqual(($0 as? OperatorError)?.code, .shape) }
    }
  }
}
