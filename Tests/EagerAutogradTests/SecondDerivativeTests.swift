import AOTAutogradTesting
import EagerAutograd
import GraphIR
import Operators
import TensorCore
import XCTest

/// Derivatives of backward operators that the recorded data leaves out, against differences.
final class SecondDerivativeTests: XCTestCase {
  private func random(_ shape: [Int], _ seed: UInt64) throws -> Tensor {
    try Tensor.randn(shape, dtype: .float64, generator: Generator(seed: seed))
  }

  private func check(_ inputs: [Tensor], _ function: ([Tensor]) throws -> [Tensor]) throws {
    var options = GradientCheckOptions()
    options.step = 1e-5
    options.absoluteTolerance = 1e-6
    options.relativeTolerance = 1e-6
    try gradcheck(inputs.map { try $0.requiringGrad() }, options, function)
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
        .reference(gradient), .reference(input), .list([.int(4)]), .reference(detached[0]), .reference(detached[1]),
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

  func testRMSNormBackward() throws {
    let inputs = try [random([3, 4], 1), random([3, 4], 2), random([4], 3)]
    try check(inputs) { inputs in
      let rstd = try (inputs[1].square().mean([1], keepDimensions: true) + 1e-5).rsqrt()
      let detached = try Tensor(rstd.elements(as: Double.self), shape: rstd.shape)
      return try OperatorLibrary.fusedRMSNormBackward.several(
        .reference(inputs[0]), .reference(inputs[1]), .list([.int(4)]), .reference(detached), .reference(inputs[2]),
        .list([.bool(true), .bool(true)]))
    }
    try check([inputs[1], inputs[2]]) { inputs in
      try OperatorLibrary.fusedRMSNorm.several(
        .reference(inputs[0]), .list([.int(4)]), .reference(inputs[1]), .double(1e-5))
    }
  }

  func testAttention() throws {
    let inputs = try [random([1, 4, 3, 2], 1), random([1, 2, 3, 2], 2), random([1, 2, 3, 2], 3), random([3, 3], 4)]
    try check(inputs) { inputs in
      [try inputs[0].scaledDotProductAttention(inputs[1], inputs[2], mask: inputs[3], groupsHeads: true)]
    }
    for isCausal in [false, true] {
      try check([random([1, 4, 3, 2], 5)] + inputs) { inputs in
        let operands = inputs[1...3].map { Value.reference($0) }
        let mask = Value.reference(inputs[4])
        func detached(_ tensor: Tensor) throws -> Value {
          .reference(try Tensor(tensor.elements(as: Double.self), shape: tensor.shape))
        }
        let forward = try OperatorLibrary.flashAttentionForward.several(
          operands[0], operands[1], operands[2], .double(0), .bool(isCausal), mask)
        return try OperatorLibrary.flashAttentionBackward.several(
          .reference(inputs[0]), operands[0], operands[1], operands[2], detached(forward[0]), detached(forward[1]),
          .double(0), .bool(isCausal), mask)
      }
    }
  }

  func testEmbeddingBag() throws {
    let indices = try Value.reference(Tensor([1, 2, 4, 0, 4]))
    let offsets = try Value.reference(Tensor([0, 2, 2]))
    for mode in 0...2 {
      func bags(_ inputs: [Tensor]) throws -> [Tensor] {
        let samples = inputs.count > 1 ? Value.reference(inputs[1]) : .none
        return [
          try OperatorLibrary.embeddingBagForward.several(
            .reference(inputs[0]), indices, offsets, .bool(false), .int(SymInt(mode)), .bool(false), samples,
            .bool(false), .int(4))[0]
        ]
      }
      let inputs = try [random([5, 2], 1)] + (mode == 0 ? [random([5], 2)] : [])
      try check(inputs, bags)
      try gradgradcheck(inputs) { try bags($0) }
    }
  }

  func testRecurrentLayers() throws {
    var options = RecurrentOptions()
    options.layerCount = 2
    options.isBidirectional = true
    let sizes = (0..<4).flatMap { [[8, $0 < 2 ? 3 : 4], [8, 2], [8], [8]] }
    let parameters = try sizes.enumerated().map { try random($1, UInt64(10 + $0)) }
    try check([random([2, 1, 3], 1), random([4, 1, 2], 2), random([4, 1, 2], 3)] + parameters) { inputs in
      let (output, hidden, cell) = try inputs[0].lstm((inputs[1], inputs[2]), Array(inputs[3...]), options)
      return [output, hidden, cell]
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
