import LoopIR
import TensorCore

/// What an upsampling makes of the elements around a place.
public enum InterpolationMode: Hashable, Sendable {
  /// The element before the place, as pixels at integer places are counted.
  case nearest
  /// The element whose area the place lies in.
  case nearestExact
  /// Weighted by distance, from two elements along each dimension.
  case linear
  /// Cubic convolution, of four elements along each dimension.
  case cubic
}

/// One dimension of an upsampling: which input elements an output element is made of, rounded as PyTorch does.
struct InterpolatedDimension {
  /// Elements in the input and in the output.
  let size: Int
  let count: Int
  /// The scale factor that the caller gave, which need not be the quotient of the two.
  let factor: Double?
  let alignsCorners: Bool
  /// The output element's coordinate, as int64.
  let coordinate: ScalarExpression

  /// - Parameters:
  ///   - dtype: What places are computed in.
  ///   - isGradient: PyTorch's gradient of `nearest` computes in float32 always, and takes sizes that are equal or double to
  ///     mean just that, whatever the factor.
  func taps(_ mode: InterpolationMode, _ dtype: DType, isGradient: Bool) -> [Tap] {
    switch mode {
    case .nearest where isGradient && count == size: [Tap(index: coordinate)]
    case .nearest where isGradient && count == 2 * size: [Tap(index: .binary(.floorDivide, coordinate, 2))]
    case .nearest: [nearest(.cast(.int64, coordinate), isGradient ? .float32 : dtype)]
    case .nearestExact: [nearest(coordinate, isGradient ? .float32 : dtype, offset: 0.5)]
    case .linear: linear(dtype)
    case .cubic: cubic(dtype)
    }
  }

  private func nearest(_ coordinate: ScalarExpression, _ dtype: DType, offset: Double? = nil) -> Tap {
    var place = ScalarExpression.cast(dtype, coordinate)
    if let offset { place = place + .constant(.double(offset)) }
    let start = ScalarExpression.unary(.floor, .cast(.float32, place * step(dtype)))
    return Tap(index: .binary(.minimum, .cast(.int64, start), last))
  }

  private func linear(_ dtype: DType) -> [Tap] {
    let place =
      size == count ? ScalarExpression.cast(dtype, coordinate) : .binary(.maximum, self.place(dtype), 0)
    let (first, fraction) = split(place, dtype)
    let second = ScalarExpression.binary(.minimum, first + 1, last)
    return [Tap(index: first, weight: 1 - fraction), Tap(index: second, weight: fraction)]
  }

  private func cubic(_ dtype: DType) -> [Tap] {
    let (second, fraction) = split(place(dtype), dtype)
    return CubicWeights.at(fraction).enumerated().map { i, entry in
      let index = second + .constant(.int(i - 1))
      return Tap(index: .binary(.minimum, .binary(.maximum, index, 0), last), weight: entry.weight)
    }
  }

  private var last: ScalarExpression { .constant(.int(size - 1)) }

  /// The place in the input, in input elements.
  private func place(_ dtype: DType) -> ScalarExpression {
    let coordinate = ScalarExpression.cast(dtype, self.coordinate)
    return alignsCorners ? coordinate * step(dtype) : (coordinate + 0.5) * step(dtype) - 0.5
  }

  /// The element before a place, and how far behind it the place is.
  private func split(_ place: ScalarExpression, _ dtype: DType) -> (ScalarExpression, ScalarExpression) {
    let index = ScalarExpression.binary(.minimum, .cast(.int64, .unary(.floor, place)), last)
    let fraction = place - .cast(dtype, index)
    return (index, .binary(.minimum, .binary(.maximum, fraction, 0), 1))
  }

  /// Input elements per output element.
  private func step(_ dtype: DType) -> ScalarExpression {
    let exact: Double
    if alignsCorners {
      exact = count > 1 ? Double(size - 1) / Double(count - 1) : 0
    } else if let factor, factor > 0 {
      exact = 1 / factor
    } else {
      exact = Double(size) / Double(count)
    }
    return .constant(.double(dtype == .float32 ? Double(Float(exact)) : exact))
  }
}
