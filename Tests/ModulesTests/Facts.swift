import Foundation
import Modules
import XCTest

/// What `module_facts.py` recorded of PyTorch.
enum Facts {
  struct TensorFact: Decodable {
    let shape: [Int]
    let dtype: String
    let elements: [Double]

    /// - Parameter dtype: In the place of float64.
    func tensor(_ dtype: DType = .float64) throws -> Tensor {
      if self.dtype == "int64" { return try Tensor(elements.map { Int64($0) }, shape: shape) }
      return try Tensor(elements, shape: shape).to(dtype)
    }
  }

  struct ModuleCase: Decodable {
    let name: String
    let state: [String: TensorFact]
    let inputs: [TensorFact]
    let output, tangent: TensorFact
    let gradients: [String: TensorFact]
    let inputGradients: [TensorFact?]
    let stateAfter: [String: TensorFact]
    let evalOutput: TensorFact
  }

  struct Distribution: Decodable {
    let shape: [Int]
    let low, high, mean, deviation: Double
  }

  struct Distributions: Decodable {
    let modules: [String: [String: Distribution]]
    let initializers: [String: Distribution]
  }

  struct OptimizerCase: Decodable {
    struct Step: Decodable {
      let gradients: [TensorFact?]
      let parameters: [TensorFact]
    }
    let name: String
    let parameters: [TensorFact]
    let steps: [Step]
  }

  struct ScheduleCase: Decodable {
    let name: String
    let initial: Double
    let rates: [Double]
  }

  struct ClippingCase: Decodable {
    let name: String
    let before, after: [TensorFact]
    let norm: Double?
  }

  static func read<Content: Decodable>(_ name: String, as type: Content.Type = Content.self) throws -> Content {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Facts")
    return try JSONDecoder().decode(type, from: Data(contentsOf: folder.appendingPathComponent("\(name).json")))
  }
}

func elements(_ tensor: Tensor) throws -> [Double] {
  try noGrad { try tensor.detach().to(.float64).contiguous().elements(as: Double.self) }
}

/// Asserts that a tensor has the shape and, up to rounding, the elements of another.
func assertClose(
  _ got: Tensor?, _ want: Tensor, _ name: String, accuracy: Double = 1e-9, line: UInt = #line
) throws {
  let got = try XCTUnwrap(got, name, line: line)
  XCTAssertEqual(got.shape, want.shape, name, line: line)
  for (index, (a, b)) in zip(try elements(got), try elements(want)).enumerated() {
    XCTAssertEqual(a, b, accuracy: accuracy * max(1, abs(b)), "\(name), element \(index)", line: line)
  }
}

func assertClose(
  _ got: Tensor?, _ want: Facts.TensorFact, _ name: String, accuracy: Double = 1e-9, line: UInt = #line
) throws {
  try assertClose(got, want.tensor(), name, accuracy: accuracy, line: line)
}

func assertThrows(
  _ code: ModuleError.Code, _ mentioning: String = "", line: UInt = #line, _ body: () throws -> Any
) {
  XCTAssertThrowsError(try body(), line: line) { error in
    guard let error = error as? ModuleError else { return XCTFail("\(error)", line: line) }
    XCTAssertEqual(error.code, code, error.message, line: line)
    XCTAssertTrue(mentioning.isEmpty || error.message.contains(mentioning), error.message, line: line)
  }
}
