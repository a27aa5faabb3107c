import GraphIR
import LoopIR
import TensorCore

// Images [n, c, size…] continued beyond their edges. `padding` holds pairs (before, after) from the last dimension on;
// negative ones crop.
extension OperatorLibrary {
  static let edgePadding = [
    reflectionPad1d, reflectionPad2d, reflectionPad3d, reflectionPad1dBackward, reflectionPad2dBackward,
    reflectionPad3dBackward, replicationPad1d, replicationPad2d, replicationPad3d, replicationPad1dBackward,
    replicationPad2dBackward, replicationPad3dBackward,
  ]

  // By their mirror image, the element at the edge not repeated.

  public static let reflectionPad1d: OperatorDefinition = padded(
    .reflection, rank: 1, gradient: reflectionPad1dBackward)
  public static let reflectionPad2d: OperatorDefinition = padded(
    .reflection, rank: 2, gradient: reflectionPad2dBackward)
  public static let reflectionPad3d: OperatorDefinition = padded(
    .reflection, rank: 3, gradient: reflectionPad3dBackward)

  // By the element at the edge.

  public static let replicationPad1d: OperatorDefinition = padded(
    .replication, rank: 1, gradient: replicationPad1dBackward)
  public static let replicationPad2d: OperatorDefinition = padded(
    .replication, rank: 2, gradient: replicationPad2dBackward)
  public static let replicationPad3d: OperatorDefinition = padded(
    .replication, rank: 3, gradient: replicationPad3dBackward)

  // Each element gets the gradients of the places where it stands.

  public static let reflectionPad1dBackward = paddedBackward(.reflection, rank: 1, transpose: reflectionPad1d)
  public static let reflectionPad2dBackward = paddedBackward(.reflection, rank: 2, transpose: reflectionPad2d)
  public static let reflectionPad3dBackward = paddedBackward(.reflection, rank: 3, transpose: reflectionPad3d)
  public static let replicationPad1dBackward = paddedBackward(.replication, rank: 1, transpose: replicationPad1d)
  public static let replicationPad2dBackward = paddedBackward(.replication, rank: 2, transpose: replicationPad2d)
  public static let replicationPad3dBackward = paddedBackward(.replication, rank: 3, transpose: replicationPad3d)

  /// By number of dimensions, from one on.
  static let reflectionPads = [reflectionPad1d, reflectionPad2d, reflectionPad3d]
  static let replicationPads = [replicationPad1d, replicationPad2d, replicationPad3d]

  private static func padded(
    _ mode: EdgePadding, rank: Int, gradient: @autoclosure @escaping @Sendable () -> OperatorDefinition
  ) -> OperatorDefinition {
    OperatorDefinition(
      "\(mode)_pad\(rank)d(Tensor self, SymInt[\(2 * rank)] padding) -> Tensor",
      .kernel(
        shape: { call in
          let input = try call.tensor(0)
          try call.checkImage(0, rank: rank)
          try call.checkDType(0) { $0 != .bool }
          return [TensorMeta(try mode.paddedSizes(call, at: 1, of: input.shape, rank: rank), like: input)]
        },
        lowering: { call, results, builder in
          let input = try call.reference(0)
          builder.sample(input, try mode.sampling(call, at: 1, from: input, rank: rank), to: results[0])
        })
    )
    .derivative(saving: ["self"]) { d in try gradient()(.reference(d.gradient), d["self"], d["padding"]) }
  }

  private static func paddedBackward(
    _ mode: EdgePadding, rank: Int, transpose: @autoclosure @escaping @Sendable () -> OperatorDefinition
  ) -> OperatorDefinition {
    OperatorDefinition(
      "\(mode)_pad\(rank)d_backward(Tensor grad_output, Tensor self, SymInt[\(2 * rank)] padding) -> Tensor",
      .kernel(
        shape: { call in
          let input = try call.tensor(1)
          try call.checkImage(1, rank: rank)
          try call.checkDType(1, \.isFloatingPoint)
          let sizes = try mode.paddedSizes(call, at: 2, of: input.shape, rank: rank)
          try call.checkGradient(sizes: sizes, dtype: input.dtype)
          return [TensorMeta(input.sizes, like: input)]
        },
        lowering: { call, results, builder in
          let sampling = try mode.sampling(call, at: 2, from: results[0], rank: rank)
          builder.spread(try call.reference(0), sampling, to: results[0])
        })
    )
    .derivative(of: "grad_output") { d in try transpose()(.reference(d.gradient), d["padding"]) }
    .derivative(of: "self") { _ in nil }
  }
}

/// What stands beyond the edges; each is named as in its operators.
private enum EdgePadding: String, CustomStringConvertible {
  case reflection, replication

  var description: String { rawValue }

  func paddedSizes(_ call: OperatorCall, at position: Int, of sizes: [Int], rank: Int) throws -> [SymInt] {
    _ = try call.exactInts(position, count: 2 * rank)
    let pairs = try call.paddingPairs(at: position, rank: sizes.count)
    let result = zip(sizes, pairs).map { $0 + $1.before + $1.after }
    guard result.suffix(rank).allSatisfy({ $0 > 0 }) else {
      throw OperatorError(.shape, call.target.name, "padding \(pairs) leaves nothing of the sizes \(sizes)")
    }
    if self == .reflection {
      guard zip(sizes, pairs).suffix(rank).allSatisfy({ $1.before < $0 && $1.after < $0 }) else {
        throw OperatorError(
          .shape, call.target.name, "padding \(pairs) mirrors more than the sizes \(sizes) have beside the edges")
      }
    }
    return [SymInt](result)
  }

  /// Which element of `operand` stands at each place of the padded image.
  func sampling(_ call: LoweringCall, at position: Int, from operand: Operand, rank: Int) throws -> Sampling {
    let leading = operand.sizes.count - rank
    let pairs = try call.paddingPairs(at: position, rank: operand.sizes.count)
    let taps = (leading..<operand.sizes.count).map { dimension in
      let place = ScalarExpression.coordinate(dimension) - .constant(.int(pairs[dimension].before))
      return [Tap(index: index(place, last: .constant(.int(operand.sizes[dimension] - 1))))]
    }
    return Sampling(taps: taps, dtype: operand.dtype)
  }

  private func index(_ place: ScalarExpression, last: ScalarExpression) -> ScalarExpression {
    switch self {
    // At the start, then at the end.
    case .reflection: last - .unary(.absolute, last - .unary(.absolute, place))
    case .replication: .binary(.maximum, .binary(.minimum, place, last), 0)
    }
  }
}
