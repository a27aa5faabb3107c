import GraphIR
import TensorCore
import XCTest

@testable import Operators

/// Numbers too large for any tensor are refused by errors, not by traps.
final class HugeNumberTests: XCTestCase {
  private func ones(_ shape: [Int]) throws -> Tensor {
    try Tensor((0..<shape.reduce(1, *)).map { _ in Float(1) }, shape: shape)
  }

  private func assertRefused(line: UInt = #line, _ body: () throws -> Tensor) {
    XCTAssertThrowsError(try body(), line: line)
  }

  func testWindows() throws {
    let (image, kernel) = (try ones([1, 1, 4, 4]), try ones([1, 1, 2, 2]))
    for huge in [Int.max, Int.max / 2 + 9] {
      for (stride, padding, dilation) in [(huge, 0, 1), (1, huge, 1), (1, 0, huge)] {
        assertRefused {
          try OperatorLibrary.conv2d(
            .reference(image), .reference(kernel), .none, Value(stride), Value(padding), Value(dilation))
        }
      }
    }
    assertRefused {
      try OperatorLibrary.conv2d(
        .reference(image), .reference(kernel), .none, Value(1), Value(0), Value(Int(Int32.max)))
    }
  }

  func testPaddingAndRepetition() throws {
    let x = try ones([4])
    assertRefused { try x.pad([.max, .max]) }
    assertRefused { try x.pad([.min, .max]) }
    assertRefused { try OperatorLibrary.repeated(.reference(x), Value([1 << 62])) }
  }

  func testOffsetsOfEmptyViews() throws {
    assertRefused { try self.ones([4]).asStrided([0], [1], offset: .max / 2) }
    XCTAssertEqual(try ones([4]).asStrided([0], [1], offset: 100).elements(as: Float.self), [])
  }
}
