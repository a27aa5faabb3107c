import LoopIR
import TensorCore

/// The kernels of batch normalization: an input [N, C, …] folded over all dimensions but the channels.
struct BatchNormLowering {
  private let input: Operand
  private let weight: Operand?
  private let folded: [Int]
  /// What is computed in.
  private let dtype: DType
  /// Elements per channel.
  private let count: Double

  init(input: Operand, weight: Operand?) {
    let others = input.sizes.indices.filter { $0 != 1 }
    self.input = input
    self.weight = weight
    self.folded = others
    self.dtype = input.dtype.accumulator
    self.count = Double(others.reduce(1) { $0 * input.sizes[$1] })
  }

  /// Normalizes by the batch's own statistics. The results are output, mean and invstd, then, where running statistics are
  /// given, those that follow them.
  func forwardWithBatch(
    _ results: [Operand], bias: Operand?, running: [Operand], momentum: Double, eps: Double,
    _ builder: inout LoopBuilder
  ) {
    let total = ScalarExpression.constant(.double(count))
    let channels = input.sizes[1]
    let mean = builder.temporary(dtype, [channels])
    let variance = builder.temporary(dtype, [channels])
    let centered = ScalarExpression.cast(dtype, .load(0)) - .reduced(0) / total
    builder.rows(
      [input], of: input.sizes, over: folded,
      reductions: [
        .init(.sum, .cast(dtype, .load(0)), dtype: dtype), .init(.sum, centered * centered, dtype: dtype),
      ], outer: [(mean, .reduced(0) / total), (variance, .reduced(1) / total)])
    normalize(results[0], mean: mean, variance: variance, bias: bias, eps: eps, &builder)
    builder.copy(mean, to: results[1])
    let epsilon = ScalarExpression.constant(.double(eps))
    builder.pointwise([variance], to: results[2]) { .unary(.rsqrt, $0[0] + epsilon) }
    guard running.count == 2 else { return }
    let (new, old) = (ScalarExpression.constant(.double(momentum)), ScalarExpression.constant(.double(1 - momentum)))
    let unbiased = ScalarExpression.constant(.double(momentum * count / (count - 1)))
    builder.pointwise([mean, running[0]], to: results[3]) { $0[0] * new + .cast(dtype, $0[1]) * old }
    builder.pointwise([variance, running[1]], to: results[4]) { $0[0] * unbiased + .cast(dtype, $0[1]) * old }
  }

  /// Writes (x - mean) / √(variance + eps) · weight + bias.
  func normalize(
    _ output: Operand, mean: Operand, variance: Operand, bias: Operand?, eps: Double, _ builder: inout LoopBuilder
  ) {
    var inputs = [input, perChannel(mean), perChannel(variance)]
    let rstd = ScalarExpression.unary(.rsqrt, element(2) + .constant(.double(eps)))
    var value = (element(0) - element(1)) * rstd
    if let weight {
      value = value * element(inputs.count)
      inputs.append(perChannel(weight))
    }
    if let bias {
      value = value + element(inputs.count)
      inputs.append(perChannel(bias))
    }
    builder.pointwise(inputs, to: output) { _ in value }
  }

  /// Writes the gradients for input, weight and bias, those that the mask asks for.
  ///
  /// - Parameter scale: 1/√(variance + eps) for the batch's own statistics, else the running variance.
  func backward(
    _ results: [Operand], gradient: Operand, mean: Operand, scale: Operand, isOfInput: Bool, eps: Double, mask: [Bool],
    _ builder: inout LoopBuilder
  ) {
    var remaining = results[...]
    var inputs = [gradient, input, perChannel(mean), perChannel(scale)]
    let rstd = isOfInput ? element(3) : .unary(.rsqrt, element(3) + .constant(.double(eps)))
    let normalized = (element(1) - element(2)) * rstd
    if mask[0] {
      var factor = rstd
      if let weight {
        factor = factor * element(inputs.count)
        inputs.append(perChannel(weight))
      }
      let output = remaining.removeFirst()
      if isOfInput {
        let total = ScalarExpression.constant(.double(count))
        builder.rows(
          inputs, of: input.sizes, over: folded,
          reductions: [.init(.sum, element(0), dtype: dtype), .init(.sum, element(0) * normalized, dtype: dtype)],
          full: [(output, factor * (element(0) - (.reduced(0) + normalized * .reduced(1)) / total))])
      } else {
        builder.pointwise(inputs, to: output) { _ in element(0) * factor }
      }
    }
    for value in [mask[1] ? element(0) * normalized : nil, mask[2] ? element(0) : nil] {
      guard let value else { continue }
      builder.rows(
        inputs, of: input.sizes, over: folded, reductions: [.init(.sum, value, dtype: dtype)],
        outer: [(remaining.removeFirst(), .reduced(0))])
    }
  }

  private func element(_ load: Int) -> ScalarExpression { .cast(dtype, .load(load)) }

  private func perChannel(_ operand: Operand) -> Operand {
    let rest = input.sizes.count - 2
    return operand.viewed(
      as: [1, operand.sizes[0]] + Array(repeating: 1, count: rest),
      strides: [0, operand.strides[0]] + Array(repeating: 0, count: rest), offset: operand.offset)
  }
}
