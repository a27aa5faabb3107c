import LoopIR
import TensorCore

/// Cubic convolution over four elements: two before a place and two after it.
enum CubicWeights {
  /// The kernel's slope where its pieces meet, as PyTorch has it.
  private static let a = -0.75
  /// Coefficients, of the highest power first, up to a distance of 1 and from there to 2.
  private static let near = [a + 2, -(a + 3), 0, 1]
  private static let far = [a, -5 * a, 8 * a, -4 * a]

  /// The elements' weights at a place that is `fraction` behind the second, and how they change with it.
  static func at(_ fraction: ScalarExpression) -> [(weight: ScalarExpression, slope: ScalarExpression)] {
    let rest = 1 - fraction
    return [
      (value(far, fraction + 1), slope(far, fraction + 1)),
      (value(near, fraction), slope(near, fraction)),
      (value(near, rest), -slope(near, rest)),
      (value(far, rest + 1), -slope(far, rest + 1)),
    ]
  }

  private static func value(_ coefficients: [Double], _ x: ScalarExpression) -> ScalarExpression {
    let constants = coefficients.map { ScalarExpression.constant(.double($0)) }
    return constants.dropFirst().reduce(constants[0]) { $0 * x + $1 }
  }

  private static func slope(_ coefficients: [Double], _ x: ScalarExpression) -> ScalarExpression {
    let powers = [3.0, 2, 1]
    return value(zip(coefficients, powers).map { $0 * $1 }, x)
  }
}
