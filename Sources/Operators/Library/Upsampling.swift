import GraphIR
import LoopIR
import TensorCore

// Images [n, c, size…] resized: over one to three dimensions, by the nearest element, linearly or by cubic convolution.
extension OperatorLibrary {
  static let upsampling = [
    upsampleNearest1d, upsampleNearest2d, upsampleNearest3d, upsampleNearest1dBackward, upsampleNearest2dBackward,
    upsampleNearest3dBackward, upsampleNearest1dVec, upsampleNearest2dVec, upsampleNearest3dVec,
    upsampleNearestExact1d, upsampleNearestExact2d, upsampleNearestExact3d, upsampleNearestExact1dBackward,
    upsampleNearestExact2dBackward, upsampleNearestExact3dBackward, upsampleNearestExact1dVec,
    upsampleNearestExact2dVec, upsampleNearestExact3dVec,
    upsampleLinear1d, upsampleBilinear2d, upsampleTrilinear3d, upsampleLinear1dBackward, upsampleBilinear2dBackward,
    upsampleTrilinear3dBackward, upsampleLinear1dVec, upsampleBilinear2dVec, upsampleTrilinear3dVec,
    upsampleBicubic2d, upsampleBicubic2dBackward, upsampleBicubic2dVec,
  ]

  public static let upsampleNearest1d: OperatorDefinition = upsampled(
    "upsample_nearest1d", .nearest, rank: 1, gradient: upsampleNearest1dBackward)
  public static let upsampleNearest2d: OperatorDefinition = upsampled(
    "upsample_nearest2d", .nearest, rank: 2, gradient: upsampleNearest2dBackward)
  public static let upsampleNearest3d: OperatorDefinition = upsampled(
    "upsample_nearest3d", .nearest, rank: 3, gradient: upsampleNearest3dBackward)
  public static let upsampleNearestExact1d: OperatorDefinition = upsampled(
    "_upsample_nearest_exact1d", .nearestExact, rank: 1, gradient: upsampleNearestExact1dBackward)
  public static let upsampleNearestExact2d: OperatorDefinition = upsampled(
    "_upsample_nearest_exact2d", .nearestExact, rank: 2, gradient: upsampleNearestExact2dBackward)
  public static let upsampleNearestExact3d: OperatorDefinition = upsampled(
    "_upsample_nearest_exact3d", .nearestExact, rank: 3, gradient: upsampleNearestExact3dBackward)
  public static let upsampleLinear1d: OperatorDefinition = upsampled(
    "upsample_linear1d", .linear, rank: 1, gradient: upsampleLinear1dBackward)
  public static let upsampleBilinear2d: OperatorDefinition = upsampled(
    "upsample_bilinear2d", .linear, rank: 2, gradient: upsampleBilinear2dBackward)
  public static let upsampleTrilinear3d: OperatorDefinition = upsampled(
    "upsample_trilinear3d", .linear, rank: 3, gradient: upsampleTrilinear3dBackward)
  public static let upsampleBicubic2d: OperatorDefinition = upsampled(
    "upsample_bicubic2d", .cubic, rank: 2, gradient: upsampleBicubic2dBackward)

  // Each element gets the gradients of the elements that were made of it.

  public static let upsampleNearest1dBackward = upsampledBackward(
    "upsample_nearest1d", .nearest, rank: 1, transpose: upsampleNearest1d)
  public static let upsampleNearest2dBackward = upsampledBackward(
    "upsample_nearest2d", .nearest, rank: 2, transpose: upsampleNearest2d)
  public static let upsampleNearest3dBackward = upsampledBackward(
    "upsample_nearest3d", .nearest, rank: 3, transpose: upsampleNearest3d)
  public static let upsampleNearestExact1dBackward = upsampledBackward(
    "_upsample_nearest_exact1d", .nearestExact, rank: 1, transpose: upsampleNearestExact1d)
  public static let upsampleNearestExact2dBackward = upsampledBackward(
    "_upsample_nearest_exact2d", .nearestExact, rank: 2, transpose: upsampleNearestExact2d)
  public static let upsampleNearestExact3dBackward = upsampledBackward(
    "_upsample_nearest_exact3d", .nearestExact, rank: 3, transpose: upsampleNearestExact3d)
  public static let upsampleLinear1dBackward = upsampledBackward(
    "upsample_linear1d", .linear, rank: 1, transpose: upsampleLinear1d)
  public static let upsampleBilinear2dBackward = upsampledBackward(
    "upsample_bilinear2d", .linear, rank: 2, transpose: upsampleBilinear2d)
  public static let upsampleTrilinear3dBackward = upsampledBackward(
    "upsample_trilinear3d", .linear, rank: 3, transpose: upsampleTrilinear3d)
  public static let upsampleBicubic2dBackward = upsampledBackward(
    "upsample_bicubic2d", .cubic, rank: 2, transpose: upsampleBicubic2d)

  // To a size, or by factors.

  public static let upsampleNearest1dVec = upsampledVec(upsampleNearest1d, .nearest, rank: 1)
  public static let upsampleNearest2dVec = upsampledVec(upsampleNearest2d, .nearest, rank: 2)
  public static let upsampleNearest3dVec = upsampledVec(upsampleNearest3d, .nearest, rank: 3)
  public static let upsampleNearestExact1dVec = upsampledVec(upsampleNearestExact1d, .nearestExact, rank: 1)
  public static let upsampleNearestExact2dVec = upsampledVec(upsampleNearestExact2d, .nearestExact, rank: 2)
  public static let upsampleNearestExact3dVec = upsampledVec(upsampleNearestExact3d, .nearestExact, rank: 3)
  public static let upsampleLinear1dVec = upsampledVec(upsampleLinear1d, .linear, rank: 1)
  public static let upsampleBilinear2dVec = upsampledVec(upsampleBilinear2d, .linear, rank: 2)
  public static let upsampleTrilinear3dVec = upsampledVec(upsampleTrilinear3d, .linear, rank: 3)
  public static let upsampleBicubic2dVec = upsampledVec(upsampleBicubic2d, .cubic, rank: 2)

  private static func upsampled(
    _ name: String, _ mode: InterpolationMode, rank: Int,
    gradient: @autoclosure @escaping @Sendable () -> OperatorDefinition
  ) -> OperatorDefinition {
    let options = UpsamplingOptions(mode: mode, rank: rank)
    return OperatorDefinition(
      "\(name)(Tensor self, SymInt[\(rank)] output_size\(options.parameters)) -> Tensor",
      .kernel(
        shape: { call in
          let input = try call.tensor(0)
          try call.checkImage(0, rank: rank, needsBatch: true)
          try call.checkDType(0) { $0.isFloatingPoint || ($0 == .uint8 && !mode.hasWeights) }
          return [TensorMeta(input.sizes.prefix(2) + (try options.outputSizes(call)), like: input)]
        },
        lowering: { call, results, builder in
          let input = try call.reference(0)
          builder.sample(input, try options.sampling(call, at: 2, from: input, to: results[0]), to: results[0])
        })
    )
    .derivative { d in
      try gradient()([.reference(d.gradient), d["output_size"], Value(d.sizes("self"))] + d.call.arguments[2...])
    }
  }

  private static func upsampledBackward(
    _ name: String, _ mode: InterpolationMode, rank: Int,
    transpose: @autoclosure @escaping @Sendable () -> OperatorDefinition
  ) -> OperatorDefinition {
    let options = UpsamplingOptions(mode: mode, rank: rank)
    return OperatorDefinition(
      """
      \(name)_backward(Tensor grad_output, SymInt[\(rank)] output_size, SymInt[\(rank + 2)] input_size\
      \(options.parameters)) -> Tensor
      """,
      .kernel(
        shape: { call in
          let gradient = try call.tensor(0)
          let sizes = try call.exactInts(2, count: rank + 2)
          guard sizes.suffix(rank).allSatisfy({ $0 > 0 }), sizes.allSatisfy({ $0 >= 0 }) else {
            throw call.mismatch(2, "sizes of an image that has elements")
          }
          try call.checkDType(0, \.isFloatingPoint)
          try call.checkGradient(sizes: [SymInt](sizes.prefix(2).map { $0 }) + options.outputSizes(call))
          return [TensorMeta([SymInt](sizes), like: gradient)]
        },
        lowering: { call, results, builder in
          let gradient = try call.reference(0)
          if mode == .cubic, gradient.sizes == results[0].sizes {
            // Whatever the factors are: so PyTorch has it.
            return builder.copy(gradient, to: results[0])
          }
          let sampling = try options.sampling(call, at: 3, from: results[0], to: gradient, isGradient: true)
          builder.spread(gradient, sampling, to: results[0])
        })
    )
    .derivative(of: "grad_output") { d in
      try transpose()([.reference(d.gradient), d["output_size"]] + d.call.arguments[3...])
    }
  }

  private static func upsampledVec(
    _ target: OperatorDefinition, _ mode: InterpolationMode, rank: Int
  ) -> OperatorDefinition {
    let corners = mode.hasWeights ? ", bool align_corners" : ""
    return OperatorDefinition(
      "\(target.name.base).vec(Tensor input, SymInt[]? output_size\(corners), float[]? scale_factors) -> Tensor",
      .composite { call in
        let (sizes, last) = (try call.optionalInts(1), call.arguments.count - 1)
        let factors = call.arguments[last].isNone ? nil : try call.doubles(last)
        guard (sizes == nil) != (factors == nil), (sizes?.count ?? factors?.count) == rank else {
          throw OperatorError(
            .argument, call.target.name, "needs either output_size or scale_factors, of \(rank) numbers")
        }
        let space = try call.tensor(0).shape.suffix(rank)
        let scaled = zip(space, factors ?? []).map { Double($0) * $1 }
        guard scaled.allSatisfy({ $0.magnitude < 0x1p62 }) else {
          throw call.mismatch(last, "factors of a size to be had")
        }
        let scales = (0..<rank).map { i -> Value in factors.map { .double($0[i]) } ?? .none }
        var arguments = [call.arguments[0], Value(sizes ?? scaled.map { Int($0) })]
        arguments += call.arguments[2..<last] + scales
        return .reference(try target(arguments))
      })
  }
}

/// The parameters that upsampling operators have in common.
private struct UpsamplingOptions: Sendable {
  let mode: InterpolationMode
  let rank: Int

  /// Those after the sizes, as schemas write them.
  var parameters: String {
    let names = rank == 1 ? ["scales"] : ["scales_d", "scales_h", "scales_w"].suffix(rank)
    return (mode.hasWeights ? ", bool align_corners" : "") + names.map { ", float? \($0)=None" }.joined()
  }

  func outputSizes(_ call: OperatorCall) throws -> [SymInt] {
    let sizes = try call.exactInts(1, count: rank)
    guard sizes.allSatisfy({ $0 > 0 }) else { throw call.mismatch(1, "positive sizes") }
    return [SymInt](sizes)
  }

  /// Reads align_corners, if there is one, and the scales from a position on.
  func sampling(
    _ call: LoweringCall, at position: Int, from small: Operand, to large: Operand, isGradient: Bool = false
  ) throws -> Sampling {
    let alignsCorners = try mode.hasWeights && call.bool(position)
    let scales = position + (mode.hasWeights ? 1 : 0)
    let dtype = mode.hasWeights || small.dtype.isFloatingPoint ? small.dtype.accumulator : .float32
    let taps = try (0..<rank).map { i in
      InterpolatedDimension(
        size: small.sizes[2 + i], count: large.sizes[2 + i],
        factor: try call.optionalScalar(scales + i)?.doubleValue, alignsCorners: alignsCorners,
        coordinate: .coordinate(2 + i)
      ).taps(mode, dtype, isGradient: isGradient)
    }
    return Sampling(taps: taps, dtype: mode.hasWeights ? dtype : small.dtype)
  }
}

extension InterpolationMode {
  /// Whether elements are weighted, by a place that depends on whether corners are aligned.
  fileprivate var hasWeights: Bool { self == .linear || self == .cubic }

  /// The operators, by number of dimensions.
  fileprivate var operators: [Int: OperatorDefinition] {
    typealias Library = OperatorLibrary
    return switch self {
    case .nearest:
      [1: Library.upsampleNearest1dVec, 2: Library.upsampleNearest2dVec, 3: Library.upsampleNearest3dVec]
    case .nearestExact:
      [
        1: Library.upsampleNearestExact1dVec, 2: Library.upsampleNearestExact2dVec,
        3: Library.upsampleNearestExact3dVec,
      ]
    case .linear:
      [1: Library.upsampleLinear1dVec, 2: Library.upsampleBilinear2dVec, 3: Library.upsampleTrilinear3dVec]
    case .cubic: [2: Library.upsampleBicubic2dVec]
    }
  }
}

extension Tensor {
  /// An image [n, c, size…] resized to other sizes.
  ///
  /// - Parameter alignCorners: Whether the first and last elements of input and output lie at the same places; where false,
  ///   the outer edges do. The nearest element is found by edges always.
  public func interpolate(
    to sizes: [Int], mode: InterpolationMode = .nearest, alignCorners: Bool = false
  ) throws -> Tensor {
    try interpolate(Value(sizes), .none, mode, alignCorners)
  }

  /// An image [n, c, size…] resized by a factor along each dimension.
  public func interpolate(
    by factors: [Double], mode: InterpolationMode = .nearest, alignCorners: Bool = false
  ) throws -> Tensor {
    try interpolate(.none, .list(factors.map { .double($0) }), mode, alignCorners)
  }

  private func interpolate(
    _ sizes: Value, _ factors: Value, _ mode: InterpolationMode, _ alignCorners: Bool
  ) throws -> Tensor {
    guard let upsample = mode.operators[rank - 2] else {
      throw OperatorError(.shape, nil, "there is no interpolation of mode '\(mode)' for a tensor of \(rank) dimensions")
    }
    let corners: [Value] = mode.hasWeights ? [.bool(alignCorners)] : []
    return try upsample([.reference(self), sizes] + corners + [factors])
  }
}
