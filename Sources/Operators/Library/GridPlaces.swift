import LoopIR
import TensorCore

/// What lies beyond the edges of a sampled image; numbered as in PyTorch.
enum GridPadding: Int {
  case zeros, border, reflection
}

/// How a sampled image is interpolated; numbered as in PyTorch.
enum GridInterpolation: Int {
  case linear, nearest, cubic
}

/// One dimension of an image that is sampled at coordinates of a grid, where −1 and 1 are the edges.
struct GridPlaces {
  let size: Int
  let interpolation: GridInterpolation
  let padding: GridPadding
  /// Whether −1 and 1 are the places of the first and last elements, instead of the edges of their areas.
  let alignsCorners: Bool
  /// The coordinate, in the type that is computed in.
  let coordinate: ScalarExpression

  private var last: ScalarExpression { .constant(.double(Double(size - 1))) }

  var taps: [Tap] {
    switch interpolation {
    case .nearest: return [tap(at: .unary(.round, place))]
    case .linear:
      let first = ScalarExpression.unary(.floor, place)
      return [tap(at: first, first + 1 - place, slope: -1), tap(at: first + 1, place - first, slope: 1)]
    case .cubic:
      // Each element for itself is looked for beyond the edges, not the place.
      let second = ScalarExpression.unary(.floor, scaled)
      return CubicWeights.at(scaled - second).enumerated().map { i, entry in
        tap(
          at: brought(second + .constant(.double(Double(i - 1)))).place, entry.weight, slope: entry.slope,
          curvature: entry.curvature)
      }
    }
  }

  /// How the place, as taps mean it, changes with the coordinate.
  var placeSlope: ScalarExpression {
    let slope = ScalarExpression.constant(.double(Double(alignsCorners ? size - 1 : size) / 2))
    return interpolation == .cubic ? slope : slope * brought(scaled).slope
  }

  private var place: ScalarExpression { brought(scaled).place }

  /// The coordinate in elements.
  private var scaled: ScalarExpression {
    alignsCorners
      ? (coordinate + 1) * .constant(.double(Double(size - 1) / 2))
      : ((coordinate + 1) * .constant(.double(Double(size))) - 1) * 0.5
  }

  private func tap(
    at place: ScalarExpression, _ weight: ScalarExpression? = nil, slope: ScalarExpression = 0,
    curvature: ScalarExpression = 0
  ) -> Tap {
    // Compared before it is made an index: it may be any number, and none.
    let isInside = ScalarExpression.binary(.bitwiseAnd, place .>= 0, place .<= last)
    let index = ScalarExpression.cast(.int64, LoopIR.select(isInside, place, 0))
    return Tap(index: index, weight: weight, slope: slope, curvature: curvature, isInside: isInside)
  }

  /// A place brought inside, and how it changes with what it was.
  private func brought(_ place: ScalarExpression) -> (place: ScalarExpression, slope: ScalarExpression) {
    switch padding {
    case .zeros: return (place, 1)
    case .border: return clipped(place)
    case .reflection:
      let mirrored = mirrored(place)
      let inside = clipped(mirrored.place)
      return (inside.place, inside.slope * mirrored.slope)
    }
  }

  /// A NaN becomes the first element's place.
  private func clipped(_ place: ScalarExpression) -> (place: ScalarExpression, slope: ScalarExpression) {
    let raised = LoopIR.select(place .> 0, place, 0)
    let isInside = ScalarExpression.binary(.bitwiseAnd, place .> 0, place .< last)
    return (.binary(.minimum, raised, last), LoopIR.select(isInside, 1, 0 as ScalarExpression))
  }

  /// Mirrored at the first and last element, or at the edges of their areas, as often as need be.
  private func mirrored(_ place: ScalarExpression) -> (place: ScalarExpression, slope: ScalarExpression) {
    let span = Double(alignsCorners ? size - 1 : size)
    guard span > 0 else { return (0, 0) }
    let start = ScalarExpression.constant(.double(alignsCorners ? 0 : -0.5))
    let (length, period) = (ScalarExpression.constant(.double(span)), ScalarExpression.constant(.double(2 * span)))
    let distance = ScalarExpression.unary(.absolute, place - start)
    let rest = distance - .unary(.truncate, distance / period) * period
    let isFlipped = rest .> length
    let sign = LoopIR.select(place .< start, .constant(.double(-1)), 1)
    return (LoopIR.select(isFlipped, period - rest, rest) + start, LoopIR.select(isFlipped, -sign, sign))
  }
}
