import GraphIR
import TensorCore
import XCTest

@testable import Operators

final class IndexingTests: XCTestCase {
  private func counting(_ shape: [Int]) throws -> Tensor {
    try Tensor((0..<shape.reduce(1, *)).map { Float($0) }, shape: shape)
  }

  func testReadingAlongADimension() throws {
    let x = try counting([2, 3])
    let index = try Tensor([2, 0, 1, 1], shape: [2, 2])
    XCTAssertEqual(try x.gather(1, index).elements(), [2, 0, 4, 4] as [Float])
    XCTAssertEqual(try x.indexSelect(1, Tensor([2, 2])).elements(), [2, 2, 5, 5] as [Float])
    XCTAssertEqual(try x.takeAlong(0, Tensor([1], shape: [1, 1])).elements(), [3, 4, 5] as [Float])
  }

  func testWritingAlongADimension() throws {
    let x = try Tensor.zeros([2, 3])
    let index = try Tensor([0, 0, 2, 1], shape: [2, 2])
    let source = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    XCTAssertEqual(try x.scatterAdd(1, index, source).elements(), [3, 0, 0, 0, 4, 3] as [Float])
    XCTAssertEqual(try x.scatter(1, index, value: 7).elements(), [7, 0, 0, 0, 7, 7] as [Float])
    try x.indexAdd_(0, Tensor([1, 1]), counting([2, 3]), alpha: 2)
    XCTAssertEqual(try x.elements(), [0, 0, 0, 6, 10, 14] as [Float])
    // Source and destination may be one tensor: it is read before it is written.
    let y = try Tensor([1, 2, 3] as [Float])
    try y.scatter_(0, Tensor([2, 1, 0]), y)
    XCTAssertEqual(try y.elements(), [3, 2, 1] as [Float])
  }

  func testSeveralTensorsOfIndices() throws {
    let x = try counting([2, 3, 4])
    let (rows, columns) = (try Tensor([1, 0], shape: [2, 1]), try Tensor([-1, 0]))
    XCTAssertEqual(try x.index([rows, nil, columns]).shape, [2, 2, 3])
    XCTAssertEqual(try x.index([nil, rows, columns]).shape, [2, 2, 2])
    XCTAssertEqual(
      try x.index([nil, rows, columns]).elements(), [7, 4, 3, 0, 19, 16, 15, 12] as [Float])
    let sum = try Tensor.zeros([3]).indexPut([Tensor([1, 1, -1])], Tensor([2] as [Float]), accumulate: true)
    XCTAssertEqual(try sum.elements(), [0, 4, 2] as [Float])
  }

  func testConditions() throws {
    let x = try counting([2, 3])
    let mask = try x.gt(3)
    XCTAssertEqual(try x.maskedSelect(mask).elements(), [4, 5] as [Float])
    XCTAssertEqual(try x.index([mask]).elements(), [4, 5] as [Float])
    XCTAssertEqual(try mask.nonzero().elements(), [1, 1, 1, 2] as [Int])
    try x.indexPut_([mask], Tensor([-1 as Float]))
    XCTAssertEqual(try x.elements(), [0, 1, 2, 3, -1, -1] as [Float])
  }

  func testEmbedding() throws {
    let table = try counting([3, 2])
    let indices = try Tensor([2, 0, 2], shape: [3])
    XCTAssertEqual(try table.embedding(indices).elements(), [4, 5, 0, 1, 4, 5] as [Float])
    let gradient = try OperatorLibrary.embeddingDenseBackward(
      .reference(counting([3, 2])), .reference(indices), .int(3), .int(-1), .bool(false))
    XCTAssertEqual(try gradient.elements(), [2, 3, 0, 0, 4, 6] as [Float])
    XCTAssertEqual(try Tensor([1, 0]).oneHot(3).elements(), [0, 1, 0, 1, 0, 0] as [Int])
    XCTAssertEqual(try Tensor([1, 0]).oneHot(-1).shape, [2, 2])
  }

  func testSorting() throws {
    let x = try Tensor([3, .nan, 1, 3] as [Float])
    let ascending = try x.sort()
    XCTAssertEqual(try ascending.indices.elements(), [2, 0, 3, 1] as [Int])
    XCTAssertEqual(try x.sort(descending: true).indices.elements(), [1, 0, 3, 2] as [Int])
    XCTAssertEqual(try counting([2, 3]).topk(2).values.elements(), [2, 1, 5, 4] as [Float])
    XCTAssertEqual(try counting([2, 3]).topk(1, 0).indices.elements(), [1, 1, 1] as [Int])
  }

  func testRefusals() throws {
    let x = try counting([2, 3])
    func refused(_ code: OperatorError.Code, line: UInt = #line, _ body: @autoclosure () throws -> Tensor) {
      XCTAssertThrowsError(try body(), line: line) { XCTAssertEqual(($0 as? OperatorError)?.code, code, line: line) }
    }
    refused(.index, try x.gather(1, Tensor([3], shape: [1, 1])))
    refused(.index, try x.indexSelect(0, Tensor([-1])))
    refused(.index, try x.index([Tensor([2])]))
    refused(.index, try x.scatterAdd_(1, Tensor([5], shape: [1, 1]), counting([1, 1])))
    refused(.dtype, try x.gather(1, counting([2, 3])))
    refused(.shape, try x.gather(1, Tensor([0, 0, 0], shape: [3, 1])))
    refused(.shape, try x.indexAdd(0, Tensor([0]), counting([2, 3])))
    refused(.shape, try x.index([Tensor([0, 1]), Tensor([0, 1, 2])]))
    XCTAssertEqual(try x.elements(), [0, 1, 2, 3, 4, 5] as [Float])
  }

  func testValuesAreUnknownWhileAFunctionIsCaptured() throws {
    let fake = try Tensor(fake: Layout(contiguous: [1]), dtype: .float32)
    for body in [{ _ = try fake.item() }, { _ = try fake.nonzero() }] {
      XCTAssertThrowsError(try body()) { XCTAssertEqual(($0 as? OperatorError)?.code, .dataDependent) }
    }
  }
}
