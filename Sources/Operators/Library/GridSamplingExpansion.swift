import LoopIR
import TensorCore

/// The samples of an image at the places of a grid, said in tensor operations: so they can be differentiated.
struct GridSamplingExpansion {
  /// One element of those that make up each sample.
  struct Term {
    /// Where it stands in the flat image [n, 1, place].
    let index: Tensor
    let isInside: Tensor
    /// By dimension: its weight [n, 1, place], how that changes with the coordinate, and how the change does.
    let weights: [[Tensor]]

    /// The derivative of the product of its weights, once along each of the given dimensions.
    func weight(changeAlong dimensions: [Int]) throws -> Tensor {
      let factors = weights.enumerated().map { i, orders in orders[dimensions.count { $0 == i }] }
      return try factors.dropFirst().reduce(factors[0]) { try $0 * $1 }
    }
  }

  let terms: [Term]

  /// - Parameter coordinates: By dimension, [n, 1, place].
  init(_ dimensions: [GridPlaces], at coordinates: [Tensor]) throws {
    let taps = try dimensions.map { dimension in
      let slope = dimension.placeSlope
      return try dimension.taps.map { tap in
        let orders = [tap.weight ?? 1, tap.slope * slope, tap.curvature * slope * slope]
        return (
          index: try tap.index.evaluated(coordinates), isInside: try tap.isInside.map { try $0.evaluated(coordinates) },
          weights: try orders.map { try $0.evaluated(coordinates) }
        )
      }
    }
    let sizes = dimensions.map(\.size)
    let choices = taps.reduce([[]]) { choices, taps in choices.flatMap { choice in taps.map { choice + [$0] } } }
    terms = try choices.map { choice in
      var (index, isInside) = (try coordinates[0].zerosLike(dtype: .int64), try coordinates[0].onesLike(dtype: .bool))
      for (size, tap) in zip(sizes, choice) {
        index = try index * size + tap.index
        if let inside = tap.isInside { isInside = try isInside.logicalAnd(inside) }
      }
      return Term(index: index, isInside: isInside, weights: choice.map(\.weights))
    }
  }
}

extension ScalarExpression {
  /// The expression in tensor operations; its constants are of the loads' dtype.
  fileprivate func evaluated(_ loads: [Tensor]) throws -> Tensor {
    switch self {
    case .load(let i): loads[i]
    case .constant(let value): try loads[0].newFull([], value)
    case .cast(let dtype, let x): try x.evaluated(loads).to(dtype)
    case .select(let condition, let a, let b):
      try condition.evaluated(loads).selecting(a.evaluated(loads), b.evaluated(loads))
    case .unary(let operation, let x): try operation.applied(to: x.evaluated(loads))
    case .binary(let operation, let a, let b): try operation.applied(to: a.evaluated(loads), b.evaluated(loads))
    case .reduced, .local, .coordinate: throw OperatorError(.notImplemented, nil, "no tensor operation says \(self)")
    }
  }
}

extension UnaryOperation {
  fileprivate func applied(to x: Tensor) throws -> Tensor {
    switch self {
    case .negate: try x.neg()
    case .absolute: try x.abs()
    case .floor: try x.floor()
    case .round: try x.round()
    case .truncate: try x.trunc()
    default: throw OperatorError(.notImplemented, nil, "no tensor operation says \(self)")
    }
  }
}

extension BinaryOperation {
  fileprivate func applied(to a: Tensor, _ b: Tensor) throws -> Tensor {
    switch self {
    case .add: try a.add(b)
    case .subtract: try a.sub(b)
    case .multiply: try a.mul(b)
    case .divide: try a.div(b)
    case .minimum: try a.minimum(b)
    case .bitwiseAnd: try a.bitwiseAnd(b)
    case .less: try a.lt(b)
    case .lessOrEqual: try a.le(b)
    case .greater: try a.gt(b)
    case .greaterOrEqual: try a.ge(b)
    default: throw OperatorError(.notImplemented, nil, "no tensor operation says \(self)")
    }
  }
}
