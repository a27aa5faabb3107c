import GraphIR
import TensorCore
import XCTest

@testable import Operators

/// Diagonals, stacks, grids, repetitions and turns: corners that recorded calls may not show.
final class ShapeJoiningTests: XCTestCase {
  private func counting(_ shape: [Int]) throws -> Tensor {
    try Tensor((0..<shape.reduce(1, *)).map { Float($0) }, shape: shape)
  }

  private func assertThrows(line: UInt = #line, _ body: @autoclosure () throws -> some Any) {
    XCTAssertThrowsError(try body(), line: line) { XCTAssertTrue($0 is OperatorError, "\($0)", line: line) }
  }

  func testDiagonals() throws {
    XCTAssertEqual(try counting([2]).diag(-1).elements(), [0, 0, 0, 0, 0, 0, 0, 1, 0] as [Float])
    XCTAssertEqual(try counting([2, 3]).diag(1).elements(), [1, 5] as [Float])
    XCTAssertEqual(try counting([2, 3]).diagEmbed(offset: 1, 0, -1).shape, [4, 2, 4])
    XCTAssertEqual(try counting([2, 0]).diagEmbed(offset: 1).shape, [2, 1, 1])
    assertThrows(try Tensor.scalar(1.0).diag())
    assertThrows(try counting([3]).diagEmbed(offset: .min))
    assertThrows(try counting([3]).diagEmbed(0, -2))
  }

  func testAFilledDiagonalWraps() throws {
    for (rows, expected) in [(3, [0, 1, 2]), (4, [0, 1, 2]), (5, [0, 1, 2, 4]), (9, [0, 1, 2, 4, 5, 6, 8])] {
      let x = try Tensor.zeros([3, rows]).t()
      try x.fillDiagonal_(1, wrap: true)
      let filled = try x.sum([1]).elements(as: Float.self).enumerated().filter { $0.element == 1 }.map(\.offset)
      XCTAssertEqual(filled, expected)
    }
    XCTAssertEqual(try Tensor.zeros([2, 2, 2]).fillDiagonal_(1).elements(), [1, 0, 0, 0, 0, 0, 0, 1] as [Float])
    assertThrows(try Tensor.zeros([2, 3, 2]).fillDiagonal_(1))
    assertThrows(try Tensor.zeros([2]).fillDiagonal_(1))
  }

  func testBlocks() throws {
    XCTAssertEqual(try Tensor.blockDiag([]).shape, [1, 0])
    let blocks = try Tensor.blockDiag([Tensor.scalar(7), counting([2]), counting([0]), Tensor([true])])
    XCTAssertEqual(blocks.shape, [4, 4])
    XCTAssertEqual(try blocks.elements(), [7, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1] as [Float])
    assertThrows(try Tensor.blockDiag([counting([1, 1, 1])]))
  }

  func testGrids() throws {
    let (x, y) = (try counting([2]), try counting([3]))
    let grids = try Tensor.meshgrid([x, y], indexing: "xy")
    XCTAssertEqual(grids.map(\.shape), [[3, 2], [3, 2]])
    XCTAssertEqual(try grids[1].elements(), [0, 0, 1, 1, 2, 2] as [Float])
    XCTAssertTrue(grids.allSatisfy { $0.storage === x.storage || $0.storage === y.storage })
    assertThrows(try Tensor.meshgrid([]))
    assertThrows(try Tensor.meshgrid([x, Tensor([1])]))
    assertThrows(try Tensor.meshgrid([x, y], indexing: "yx"))
    let same = try Tensor.broadcast([counting([2, 3]), y])
    XCTAssertEqual(same.map(\.shape), [[2, 3], [2, 3]])
  }

  func testRepetitions() throws {
    let x = try counting([2, 2])
    XCTAssertEqual(try x.repeatInterleave(2, dimension: 1).elements(), [0, 0, 1, 1, 2, 2, 3, 3] as [Float])
    XCTAssertEqual(try x.t().repeatInterleave(2).elements(), [0, 0, 2, 2, 1, 1, 3, 3] as [Float])
    XCTAssertEqual(try x.repeatInterleave(Tensor([0, 2]), dimension: 0).elements(), [2, 3, 2, 3] as [Float])
    XCTAssertEqual(try x.repeatInterleave(Tensor([2]), dimension: 0, outputSize: 4).shape, [4, 2])
    assertThrows(try x.repeatInterleave(Tensor([1, -1]), dimension: 0))
    assertThrows(try x.repeatInterleave(Tensor([1, 2]), dimension: 0, outputSize: 4))
    assertThrows(try x.repeatInterleave(Tensor([1, 2, 3]), dimension: 0))
    assertThrows(try x.repeatInterleave(.max, dimension: 0))
    assertThrows(try Tensor.scalar(1.0).repeatInterleave(2, dimension: 0))
  }

  func testTurns() throws {
    let x = try counting([2, 3])
    for turns in [1, 5, -3] { XCTAssertEqual(try x.rot90(turns).elements(), [2, 5, 1, 4, 0, 3] as [Float]) }
    XCTAssertEqual(try x.rot90(3, [1, 0]).elements(), try x.rot90(1).elements(as: Float.self))
    XCTAssertFalse(try x.rot90(0).storage === x.storage)
    assertThrows(try x.rot90(1, [0, -2]))
    assertThrows(try x.rot90(1, [0]))
  }

  func testTriangles() throws {
    func indices(_ target: OperatorDefinition, _ rows: Int, _ columns: Int, _ offset: Int) throws -> [Int] {
      try target(Value(rows), Value(columns), Value(offset)).elements()
    }
    XCTAssertEqual(try indices(OperatorLibrary.trilIndices, 2, 4, 1), [0, 0, 1, 1, 1, 0, 1, 0, 1, 2])
    XCTAssertEqual(try indices(OperatorLibrary.triuIndices, 3, 2, -1), [0, 0, 1, 1, 2, 0, 1, 0, 1, 1])
    XCTAssertEqual(try indices(OperatorLibrary.trilIndices, 3, 3, .min), [])
    XCTAssertEqual(try indices(OperatorLibrary.triuIndices, 3, 3, .max), [])
    assertThrows(try indices(OperatorLibrary.trilIndices, -1, 3, 0))
    assertThrows(try OperatorLibrary.trilIndices(.int(2), .int(2), .int(0), .dtype(.float32)))
  }

  func testRangesOfIntegersCountInIntegers() throws {
    let far = 1 << 62
    XCTAssertEqual(try Tensor.arange(far, far + 3).elements(), [far, far + 1, far + 2])
    XCTAssertEqual(try Tensor.arange(-1.5, 3, step: 0.7, dtype: .int64).elements(), [Int](repeating: -1, count: 7))
    XCTAssertEqual(try Tensor.linspace(-5.7, 5.3, steps: 4, dtype: .int32).elements(), [-5, -1, 1, 5] as [Int32])
    assertThrows(try Tensor.arange(2, dtype: .bool))
    assertThrows(try Tensor.arange(0, Int.min, step: -1))
  }

  func testStridesAndStepsThatNoMemoryHolds() throws {
    let x = try counting([2, 3])
    assertThrows(try x.slice(0, step: .max))
    assertThrows(try x.unfold(0, size: 2, step: .max))
    assertThrows(try x.narrow(0, from: 1, length: .max))
  }
}
