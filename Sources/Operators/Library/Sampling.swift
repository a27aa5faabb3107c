import LoopIR
import TensorCore

/// One of the elements that make up the value at a place along a dimension.
struct Tap {
  /// Where it stands, as int64.
  var index: ScalarExpression
  /// Its part in the value; nil where it is the value.
  var weight: ScalarExpression?
  /// How the weight changes with the place.
  var slope: ScalarExpression = 0
  /// How the slope changes with the place.
  var curvature: ScalarExpression = 0
  /// Whether there is such an element, which counts as zero otherwise; nil where there always is.
  var isInside: ScalarExpression?
}

/// Places in the last dimensions of a tensor and what they are made of: the sum over one tap per dimension of an element
/// times the taps' weights. Resizing, padding and sampling at given places all say so what they read.
struct Sampling {
  /// By sampled dimension.
  let taps: [[Tap]]
  /// What weights and sums are computed in.
  let dtype: DType

  /// Every choice of one tap per dimension, the last dimension's changing fastest.
  var choices: [[Tap]] {
    taps.reduce([[]]) { choices, taps in choices.flatMap { choice in taps.map { choice + [$0] } } }
  }

  /// The value at a place, of the elements that the loads from `first` on read, one per choice.
  ///
  /// - Parameter dimension: Gives how the value changes with the place along it instead.
  func value(loads first: Int, changeAlong dimension: Int? = nil) -> ScalarExpression {
    var next = first
    func sum(_ choice: [Tap]) -> ScalarExpression {
      guard choice.count < taps.count else {
        defer { next += 1 }
        return Self.masked(.cast(dtype, .load(next)), choice)
      }
      let terms = taps[choice.count].map { tap in
        let rest = sum(choice + [tap])
        return (choice.count == dimension ? tap.slope : tap.weight).map { rest * $0 } ?? rest
      }
      return terms.dropFirst().reduce(terms[0]) { $0 + $1 }
    }
    return sum([])
  }

  /// What an element gets of the gradient at a place.
  fileprivate func share(of gradient: ScalarExpression, _ choice: [Tap]) -> ScalarExpression {
    Self.masked(choice.compactMap(\.weight).reduce(gradient) { $0 * $1 }, choice)
  }

  private static func masked(_ value: ScalarExpression, _ choice: [Tap]) -> ScalarExpression {
    let conditions = choice.compactMap(\.isInside)
    guard let first = conditions.first else { return value }
    let isInside = conditions.dropFirst().reduce(first) { .binary(.bitwiseAnd, $0, $1) }
    return LoopIR.select(isInside, value, 0)
  }

  /// The element at a choice, in a loop over the leading dimensions and then the places.
  func access(_ operand: Operand, _ choice: [Tap]) -> LoopKernel.Access {
    let leading = operand.sizes.count - taps.count
    let indirections = choice.enumerated().map { i, tap in
      LoopKernel.Indirection(
        index: tap.index, size: operand.sizes[leading + i], stride: operand.strides[leading + i])
    }
    return .init(
      buffer: operand.buffer, dtype: operand.dtype,
      strides: operand.strides[..<leading] + [Int](repeating: 0, count: taps.count), offset: operand.offset,
      indirections: indirections)
  }
}

extension LoopBuilder {
  /// Writes the value at each place.
  ///
  /// - Parameter places: What the taps read, as loads from 0 on.
  mutating func sample(
    _ source: Operand, _ sampling: Sampling, places: [LoopKernel.Access] = [], to result: Operand
  ) {
    let loads = places + sampling.choices.map { sampling.access(source, $0) }
    let value = sampling.value(loads: places.count)
    append(
      .loop(
        LoopKernel(
          outerSizes: result.sizes, loads: loads, stores: [.init(result.access, .cast(result.dtype, value))])))
  }

  /// Writes to each element the sum of its shares of the gradients at all places: the transpose of `sample`.
  mutating func spread(
    _ gradient: Operand, _ sampling: Sampling, places: [LoopKernel.Access] = [], to result: Operand
  ) {
    accumulate(in: result) { sum, builder in
      let element = ScalarExpression.cast(sum.dtype, .load(places.count))
      let stores = sampling.choices.map { choice in
        LoopKernel.Store(
          sampling.access(sum, choice), .cast(sum.dtype, sampling.share(of: element, choice)), mode: .accumulate)
      }
      builder.append(
        .loop(LoopKernel(outerSizes: gradient.sizes, loads: places + [gradient.access], stores: stores)))
    }
  }
}
