import GraphIR
import LoopIR
import TensorCore

/// The norm that a distance is measured by, (Σ |difference|^p)^(1/p): its fold and its slope.
///
/// Order 0 counts the differences, order ∞ takes the largest.
struct DistanceNorm: Sendable {
  let order: Double

  /// - Throws: `OperatorError` where the order is no number from 0 on.
  init<Reference>(_ call: Call<Reference>, at position: Int) throws {
    order = try call.double(position)
    guard order >= 0 else { throw call.mismatch(position, "at least 0") }
  }

  private var constant: ScalarExpression { .constant(.double(order)) }

  func reduction(_ difference: ScalarExpression, dtype: DType) -> LoopKernel.Reduction {
    let magnitude = ScalarExpression.unary(.absolute, difference)
    switch order {
    case 0: return .init(.sum, .unary(.ceil, .binary(.minimum, magnitude, 1)), dtype: dtype)
    case 1: return .init(.sum, magnitude, dtype: dtype)
    case 2: return .init(.sum, difference * difference, dtype: dtype)
    case .infinity: return .init(.maximum, magnitude, dtype: dtype)
    default: return .init(.sum, .binary(.power, magnitude, constant), dtype: dtype)
    }
  }

  /// The distance, of what `reduction` gave.
  func finish(_ folded: ScalarExpression) -> ScalarExpression {
    switch order {
    case 0, 1: folded
    case 2: sqrt(folded)
    // Of no differences at all, 0 is the largest.
    case .infinity: .binary(.maximum, folded, 0)
    default: .binary(.power, folded, .constant(.double(1 / order)))
    }
  }

  /// How the distance changes with one difference; 0 where it is 0.
  func slope(_ difference: ScalarExpression, _ distance: ScalarExpression) -> ScalarExpression {
    let (sign, magnitude) = (ScalarExpression.unary(.sign, difference), ScalarExpression.unary(.absolute, difference))
    switch order {
    case 0: return 0
    case 1: return sign
    case 2: return select(distance .== 0, 0, difference / distance)
    case .infinity: return select(magnitude .== distance, sign, 0)
    default:
      let exponent = ScalarExpression.constant(.double(order - 1))
      let slope = sign * .binary(.power, magnitude, exponent) / .binary(.power, distance, exponent)
      return select(.binary(.bitwiseOr, distance .== 0, difference .== 0), 0, slope)
    }
  }

  // MARK: - In derivatives

  /// `slope`, and how it changes with the difference and with the distance.
  func slopes(_ difference: Tensor, _ distance: Tensor) throws -> (
    slope: Tensor, byDifference: Tensor, byDistance: Tensor
  ) {
    let (sign, magnitude) = (try difference.sign(), try difference.abs())
    let zero = try difference.zerosLike()
    switch order {
    case 0: return (zero, zero, zero)
    case 1: return (sign, zero, zero)
    case .infinity: return (try sign.maskedFill(magnitude.ne(distance), 0), zero, zero)
    default:
      let isNone = try distance.eq(0).logicalOr(difference.eq(0))
      let slope = try (sign * (magnitude / distance).pow(order - 1)).maskedFill(isNone, 0)
      let curvature = try magnitude.pow(order - 2) * distance.pow(1 - order) * (order - 1)
      let isFlat = try order < 2 ? isNone : distance.eq(0)
      return (
        slope, try curvature.maskedFill(isFlat, 0), try (slope / distance * (1 - order)).maskedFill(isNone, 0)
      )
    }
  }
}
