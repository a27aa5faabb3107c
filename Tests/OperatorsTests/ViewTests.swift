import GraphIR
import TensorCore
import XCTest

@testable import Operators

final class ViewTests: XCTestCase {
  /// 0, 1, 2, … in a shape.
  private func counting(_ shape: [Int]) throws -> Tensor {
    try Tensor((0..<shape.reduce(1, *)).map { Float($0) }, shape: shape)
  }

  private func assertLayout(
    _ tensor: Tensor, _ sizes: [Int], _ strides: [Int], offset: Int = 0, line: UInt = #line
  ) {
    XCTAssertEqual(tensor.shape, sizes, line: line)
    XCTAssertEqual(tensor.strides.values, strides, line: line)
    XCTAssertEqual(tensor.layout.offset.value, offset, line: line)
  }

  private func assertThrows(
    _ code: OperatorError.Code, line: UInt = #line, _ body: @autoclosure () throws -> some Any
  ) {
    XCTAssertThrowsError(try body(), line: line) { XCTAssertEqual(($0 as? OperatorError)?.code, code, line: line) }
  }

  func testLayouts() throws {
    let x = try counting([2, 3, 4])
    assertLayout(try x.view([6, -1]), [6, 4], [4, 1])
    assertLayout(try x.permute([2, 0, -2]), [4, 2, 3], [1, 12, 4])
    assertLayout(try x.transpose(0, -1), [4, 3, 2], [1, 4, 12])
    assertLayout(try x.select(1, -1), [2, 4], [12, 1], offset: 8)
    assertLayout(try x.slice(2, from: -3, to: 100, step: 2), [2, 3, 2], [12, 4, 2], offset: 1)
    assertLayout(try x.slice(1, from: 3, to: 1), [2, 0, 4], [12, 4, 1], offset: 12)
    assertLayout(try x.unsqueeze(-1), [2, 3, 4, 1], [12, 4, 1, 1])
    assertLayout(try x.unsqueeze(1).squeeze(1), [2, 3, 4], [12, 4, 1])
    assertLayout(try x.unsqueeze(0).expand([5, 2, -1, 4]), [5, 2, 3, 4], [0, 12, 4, 1])
    assertLayout(try x.diagonal(offset: 1, 1, 2), [2, 3], [12, 5], offset: 1)
    assertLayout(try x.unfold(2, size: 3, step: 1), [2, 3, 2, 3], [12, 4, 1, 1])
    assertLayout(try x.asStrided([2, 2], [1, 2], offset: 3), [2, 2], [1, 2], offset: 3)
    assertLayout(try x.flatten(from: 1), [2, 12], [12, 1])
    assertLayout(try x.unflatten(2, into: [2, -1]), [2, 3, 2, 2], [12, 4, 2, 1])
    assertLayout(try x.moveDimension(0, to: 2), [3, 4, 2], [4, 1, 12])
    XCTAssertEqual(try x.split(2, dimension: 1).map(\.shape), [[2, 2, 4], [2, 1, 4]])
    XCTAssertEqual(try x.chunk(3, dimension: 2).map(\.shape), [[2, 3, 2], [2, 3, 2]])
    XCTAssertEqual(try x.unbind(1).map(\.layout.offset), [0, 4, 8])
  }

  func testSizesAsIntegersAndSymbols() throws {
    let x = try counting([2, 3])
    XCTAssertEqual(try x.view([3, 2]).shape, [3, 2])
    XCTAssertEqual(try x.view([6] as [SymInt]).shape, [6])
    let shape = [1, 6]
    XCTAssertEqual(try x.reshape(shape).shape, [1, 6])
  }

  func testViewsShareMemoryAndRememberTheirBase() throws {
    let x = try counting([2, 3])
    let row = try x.t().select(1, 1)
    XCTAssert(row.storage === x.storage)
    XCTAssert(row.viewMeta?.base === x)
    XCTAssertEqual(row.viewRecord?.target.name.description, "aten.select.int")
    try row.copy_(Tensor([7, 8, 9] as [Float]))
    XCTAssertEqual(try x.elements(), [0, 1, 2, 7, 8, 9] as [Float])
    XCTAssertEqual(x.storage.version, 1)
    XCTAssertNil(try x.detach().viewMeta)
    XCTAssert(try x.detach().storage === x.storage)
  }

  func testReshapeCopiesWhereItMust() throws {
    let x = try counting([2, 3])
    XCTAssert(try x.reshape([6]).storage === x.storage)
    let copied = try x.t().reshape([6])
    XCTAssert(copied.storage !== x.storage)
    XCTAssertFalse(copied.isView)
    XCTAssertEqual(try copied.elements(), [0, 3, 1, 4, 2, 5] as [Float])
  }

  func testInPlaceViewsChangeTheirOwnLayout() throws {
    let x = try counting([2, 3])
    XCTAssert(try x.t_() === x)
    assertLayout(x, [3, 2], [1, 3])
    try x.unsqueeze_(0)
    assertLayout(x, [1, 3, 2], [3, 1, 3])
    try x.squeeze_(0)
    try x.transpose_(0, 1)
    assertLayout(x, [2, 3], [3, 1])
    XCTAssertEqual(x.storage.version, 4)
    let view = try x.select(0, 1)
    try view.unsqueeze_(0)
    XCTAssertEqual(view.viewRecord?.target.name.description, "aten.unsqueeze.default")
    XCTAssertEqual(view.viewRecord?.source.viewRecord?.target.name.description, "aten.select.int")
    XCTAssert(view.viewMeta?.base === x)
  }

  func testRefusals() throws {
    let x = try counting([2, 3])
    assertThrows(.shape, try x.t().view([6]))
    assertThrows(.shape, try x.view([4]))
    assertThrows(.shape, try x.view([-1, -1]))
    assertThrows(.shape, try x.expand([2, 4]))
    assertThrows(.shape, try x.expand([3]))
    assertThrows(.argument, try x.permute([0, 0]))
    assertThrows(.argument, try x.permute([0]))
    assertThrows(.index, try x.transpose(0, 2))
    assertThrows(.index, try x.select(0, 2))
    assertThrows(.argument, try x.slice(0, step: 0))
    assertThrows(.shape, try x.asStrided([4, 4], [4, 1]))
    assertThrows(.argument, try x.split(0))
    assertThrows(.argument, try x.split(sizes: [1, 2]))
    assertThrows(.index, try x.narrow(1, from: 2, length: 2))
    assertThrows(.shape, try counting([1, 2, 3]).t())
    assertThrows(.overlap, try x.unsqueeze(0).expand([2, 2, 3]).copy_(x))
    XCTAssertEqual(x.storage.version, 0)
  }

  // MARK: - Inverses

  /// A call of each view operator, on a tensor of a shape.
  private let viewCalls: [(OperatorDefinition, [Int], [Value])] = [
    (OperatorLibrary.view, [2, 6], [Value([3, 4])]),
    (OperatorLibrary.alias, [2, 3], []),
    (OperatorLibrary.detach, [2, 3], []),
    (OperatorLibrary.permute, [2, 3, 4], [Value([2, 0, 1])]),
    (OperatorLibrary.transpose, [2, 3], [Value(0), Value(-1)]),
    (OperatorLibrary.t, [2, 3], []),
    (OperatorLibrary.squeeze, [1, 3, 1], []),
    (OperatorLibrary.squeezeDimension, [1, 3, 1], [Value(2)]),
    (OperatorLibrary.squeezeDimensions, [1, 3, 1], [Value([0, 1])]),
    (OperatorLibrary.unsqueeze, [2, 3], [Value(-1)]),
    (OperatorLibrary.expand, [2, 3], [Value([1, 2, -1]), .bool(false)]),
    (OperatorLibrary.selectInt, [2, 3, 4], [Value(-2), Value(-1)]),
    (OperatorLibrary.slice, [5, 3], [Value(0), Value(1), .none, Value(2)]),
    (OperatorLibrary.diagonal, [3, 4], [Value(1), Value(0), Value(1)]),
    (OperatorLibrary.unfold, [7, 2], [Value(0), Value(2), Value(3)]),
    (OperatorLibrary.asStrided, [3, 4], [Value([2, 2]), Value([5, 1]), Value(2)]),
    (OperatorLibrary.split, [5, 2], [Value(2), Value(0)]),
    (OperatorLibrary.splitWithSizes, [2, 5], [Value([2, 0, 3]), Value(1)]),
    (OperatorLibrary.unbind, [3, 2], [Value(1)]),
    (OperatorLibrary.viewDType, [2, 4], [.dtype(.float64)]),
    (OperatorLibrary.viewDType, [2, 4], [.dtype(.int16)]),
  ]

  func testEveryViewHasAnInverse() {
    let covered = Set(viewCalls.map(\.0.name))
    // The package's own `aot` operators stand in graphs where nothing is written.
    for definition in OperatorLibrary.all where definition.schema.isView && definition.name.namespace == "aten" {
      guard case .view = definition.implementation else { continue }
      XCTAssertNotNil(definition.viewInverse, "\(definition.name)")
      XCTAssert(covered.contains(definition.name), "\(definition.name) is not tested")
    }
  }

  /// Writing through a view leaves its source as the inverse says.
  func testInversesAreWritesThroughTheView() throws {
    for (target, shape, arguments) in viewCalls {
      let source = try counting(shape)
      let call = OperatorCall(target, [.reference(source)] + arguments)
      for index in try target.evaluate(call.arguments).references.indices {
        let written = try source.clone()
        let view = try target.evaluate([.reference(written)] + arguments).references[index]
        let mutated = try Tensor((0..<view.elementCount).map { Float(-1 - $0) }, shape: view.shape).to(view.dtype)
        try view.copy_(mutated)
        let inverse = try XCTUnwrap(target.viewInverse)(call, source, mutated, index)
        XCTAssertEqual(inverse.shape, shape, "\(target.name)")
        XCTAssertEqual(
          try inverse.elements(as: Float.self).map(\.bitPattern),
          try written.elements(as: Float.self).map(\.bitPattern),
          "\(target.name), result \(index)")
      }
    }
  }

  func testWritesThatHaveNoSingleMeaningAreRefused() throws {
    let x = try counting([1, 3])
    let expanded = OperatorCall(OperatorLibrary.expand, [.reference(x), Value([2, 3]), .bool(false)])
    assertThrows(.overlap, try OperatorLibrary.expand.viewInverse?(expanded, x, counting([2, 3]), 0))
    let unfolded = OperatorCall(OperatorLibrary.unfold, [.reference(x), Value(1), Value(2), Value(1)])
    assertThrows(.overlap, try OperatorLibrary.unfold.viewInverse?(unfolded, x, counting([1, 2, 2]), 0))
  }
}
