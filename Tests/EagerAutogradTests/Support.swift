import EagerAutograd
import GraphIR
import Operators
import TensorCore
import XCTest

/// A leaf of float64 numbers that requires a gradient.
func leaf(_ elements: [Double], _ shape: [Int]? = nil) throws -> Tensor {
  try constant(elements, shape).requiringGrad()
}

func constant(_ elements: [Double], _ shape: [Int]? = nil) throws -> Tensor {
  try Tensor(elements, shape: shape ?? [elements.count])
}

extension Tensor {
  /// The elements in row-major order.
  var values: [Double] { get throws { try elements(as: Double.self) } }
}

extension Optional where Wrapped == Tensor {
  var values: [Double] { get throws { try XCTUnwrap(self).values } }
}

func assertEqual(
  _ actual: [Double], _ expected: [Double], accuracy: Double = 1e-12, file: StaticString = #filePath, line: UInt = #line
) {
  XCTAssertEqual(actual.count, expected.count, file: file, line: line)
  for (a, e) in zip(actual, expected) { XCTAssertEqual(a, e, accuracy: accuracy, file: file, line: line) }
}

/// Asserts that `body` throws an `AutogradError` of that code, and gives its message.
@discardableResult
func assertThrows<Result>(
  _ code: AutogradError.Code, file: StaticString = #filePath, line: UInt = #line, _ body: () throws -> Result
) -> String {
  do {
    _ = try body()
    XCTFail("nothing was thrown", file: file, line: line)
  } catch let error as AutogradError {
    XCTAssertEqual(error.code, code, error.description, file: file, line: line)
    return error.description
  } catch {
    XCTFail("threw \(error)", file: file, line: line)
  }
  return ""
}
