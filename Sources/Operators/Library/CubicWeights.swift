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
  static func at(
    _ fraction: ScalarExpression
  ) -> [(weight: ScalarExpression, slope: ScalarExpression, curvature: ScalarExpression)] {
    let rest = 1 - fraction
    return [(far, fraction + 1, false), (near, fraction, false), (near, rest, true), (far, rest + 1, true)].map {
      piece, distance, isBehind in
      let slope = value(derivative(piece), distance)
      return (
        value(piece, distance), isBehind ? -slope : slope, value(derivative(derivative(piece)), distance)
      )
    }
  }

  private static func value(_ coefficients: [Double], _ x: ScalarExpression) -> ScalarExpression {
    let constants = coefficients.map { ScalarExpression.constant(.double($0)) }
    return constants.dropFirst().reduce(constants[0]) { $0 * x + $1 }
  }

  private static func derivative(_ coefficients: [Double]) -> [Double] {
    zip(coefficients, (1..<coefficients.count).reversed()).map { $0 * Double($1) }
  }
}
