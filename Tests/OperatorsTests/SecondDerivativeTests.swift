import GraphIR
import TensorCore
import XCTest

@testable import Operators

/// Derivatives of backward operators that the recorded data leaves out, against differences.
final class SecondDerivativeTests: XCTestCase {
  private func random(_ shape: [Int], _ seed: UInt64) throws -> Tensor {
    try Tensor.randn(shape, dtype: .float64, generator: Generator(seed: seed))
  }

  /// Compares the gradients of Σ tangent · result with central differences, for every element of every input.
  private func check(
    _ inputs: [Tensor], _ function: ([Tensor]) throws -> [Tensor], file: StaticString = #filePath, line: UInt = #line
  ) throws {
    let tape = RecordingMode(differentiating: inputs)
    let outputs = try DispatchContext.current.withMode(tape) { try function(inputs) }
    let tangents = try outputs.enumerated().map { try random($1.shape, UInt64(100 + $0)) }
    let gradients = try tape.gradients(of: Array(zip(outputs, tangents)), for: inputs)
    func total(_ inputs: [Tensor]) throws -> Double {
      try zip(function(inputs), tangents).reduce(0) { try $0 + ($1.0 * $1.1).sum().doubles()[0] }
    }
    let step = 1e-5
    for (index, input) in inputs.enumerated() {
      let values: [Double] = try input.elements()
      let got = try gradients[index]?.doubles() ?? Array(repeating: 0, count: values.count)
      for place in values.indices {
        let results = try [step, -step].map { change in
          var moved = values
          moved[place] += change
          var all = inputs
          all[index] = try Tensor(moved, shape: input.shape)
          return try total(all)
        }
        let needed = (results[0] - results[1]) / (2 * step)
        XCTAssertEqual(
          got[place], needed, accuracy: 1e-6 * (1 + abs(needed)), "input \(index), element \(place)", file: file,
          line: line)
      }
    }
  }

  func testLayerNormBackward() throws {
    let inputs = try [random([3, 4], 1), random([3, 4], 2), random([4], 3)]
    try check(inputs) { inputs in
      let (gradient, input, weight) = (inputs[0], inputs[1], inputs[2])
      let mean = try input.mean([1], keepDimensions: true)
      let rstd = try (input.var([1], correction: 0, keepDimensions: true) + 1e-5).rsqrt()
      // Mean and rstd count as functions of the input inside the operator's own derivative.
      let detached = try [mean, rstd].map { try Tensor($0.elements(as: Double.self), shape: $0.shape) }
      return try OperatorLibrary.nativeLayerNormBackward.several(
        .reference(gradient), .reference(input), Value([4]), .reference(detached[0]), .reference(detached[1]),
        .reference(weight), .reference(weight), .list([true, true, true].map { .bool($0) }))
    }
  }

  func testBatchNormBackward() throws {
    for isTraining in [true, false] {
      let inputs = try [random([3, 2, 2], 1), random([3, 2, 2], 2), random([2], 3)]
      let (runningMean, runningVariance) = (try random([2], 4), try random([2], 5).square() + 1)
      try check(inputs) { inputs in
        let flat = try inputs[1].transpose(0, 1).reshape([2, 6])
        let mean = try flat.mean([1])
        let invstd = try (flat.var([1], correction: 0) + 1e-5).rsqrt()
        let detached = try [mean, invstd].map { try Tensor($0.elements(as: Double.self), shape: $0.shape) }
        return try OperatorLibrary.nativeBatchNormBackward.several(
          .reference(inputs[0]), .reference(inputs[1]), .reference(inputs[2]), .reference(runningMean),
          .reference(runningVariance), .reference(detached[0]), .reference(detached[1]), .bool(isTraining),
          .double(1e-5), .list([true, true, true].map { .bool($0) }))
      }
    }
  }

  func testGroupNormBackward() throws {
    let inputs = try [random([2, 4, 3], 1), random([2, 4, 3], 2), random([4], 3)]
    try check(inputs) { inputs in
      let flat = try inputs[1].reshape([2, 2, 6])
      let rstd = try (flat.var([2], correction: 0) + 1e-5).rsqrt()
      let detached = try [flat.mean([2]), rstd].map { try Tensor($0.elements(as: Double.self), shape: $0.shape) }
      return try OperatorLibrary.nativeGroupNormBackward.several(
        .reference(inputs[0]), .reference(inputs[1]), .reference(detached[0]), .reference(detached[1]),
        .reference(inputs[2]), .int(2), .int(4), .int(3), .int(2), .list([true, true, true].map { .bool($0) }))
    }
  }

  func testLinearRecurrence() throws {
    try check([random([2, 4], 1), random([2, 4], 2)]) { inputs in
      [try OperatorLibrary.linearRecurrence(.reference(inputs[0]), .reference(inputs[1]), .int(1))]
    }
  }

  func testProductWithZeros() throws {
    let input = try Tensor([2.0, 0, -1, 0, 3, 0.5], shape: [2, 3])
    try check([input]) { [try $0[0].prod(1), try $0[0].cumprod(1), try $0[0].prod()] }
  }
}
