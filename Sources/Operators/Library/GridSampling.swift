import GraphIR
import LoopIR
import TensorCore

// Images [n, c, size…] sampled where a grid [n, place…, coordinate] says; coordinates stand last dimension first.
extension OperatorLibrary {
  static let gridSampling = [
    gridSampler, gridSampler2d, gridSampler3d, gridSampler2dBackward, gridSampler3dBackward,
  ]

  public static let gridSampler2d: OperatorDefinition = gridSampled(rank: 2, gradient: gridSampler2dBackward)
  public static let gridSampler3d: OperatorDefinition = gridSampled(rank: 3, gradient: gridSampler3dBackward)

  /// The gradients with respect to image and grid.
  public static let gridSampler2dBackward: OperatorDefinition = gridSampledBackward(
    rank: 2, sample: gridSampler2d, backward: gridSampler2dBackward)
  public static let gridSampler3dBackward: OperatorDefinition = gridSampledBackward(
    rank: 3, sample: gridSampler3d, backward: gridSampler3dBackward)

  public static let gridSampler = OperatorDefinition(
    """
    grid_sampler(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor
    """,
    .composite { call in
      let sample = try call.tensor(0).rank == 5 ? gridSampler3d : gridSampler2d
      return .reference(try sample(call.arguments))
    })

  private static func gridSampled(
    rank: Int, gradient: @autoclosure @escaping @Sendable () -> OperatorDefinition
  ) -> OperatorDefinition {
    OperatorDefinition(
      """
      grid_sampler_\(rank)d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) \
      -> Tensor
      """,
      .kernel(
        shape: { call in
          let input = try call.tensor(0)
          let sizes = try GridSampling.resultSizes(call, at: 0, rank: rank)
          return [TensorMeta(dtype: input.dtype, sizes: sizes, device: input.device)]
        },
        lowering: { call, results, builder in
          let (input, grid) = (try call.reference(0), try call.reference(1))
          let sampling = try GridSampling(call, at: 2, rank: rank, over: input, places: grid)
          builder.sample(input, sampling.sampling, places: sampling.places, to: results[0])
        })
    )
    .derivative(of: "input", "grid", saving: ["input", "grid"]) { d -> [Value] in
      let mask = ["input", "grid"].map { Value.bool(d.isNeeded($0)) }
      return try gradient().call([.reference(d.gradient)] + d.call.arguments + [.list(mask)]).elements ?? []
    }
  }

  private static func gridSampledBackward(
    rank: Int, sample: @autoclosure @escaping @Sendable () -> OperatorDefinition,
    backward: @autoclosure @escaping @Sendable () -> OperatorDefinition
  ) -> OperatorDefinition {
    OperatorDefinition(
      """
      grid_sampler_\(rank)d_backward(Tensor grad_output, Tensor input, Tensor grid, int interpolation_mode, \
      int padding_mode, bool align_corners, bool[2] output_mask) -> (Tensor, Tensor)
      """,
      .kernel(
        shape: { call in
          let (input, grid, mask) = (try call.tensor(1), try call.tensor(2), try call.bools(6))
          try call.checkGradient(
            sizes: try GridSampling.resultSizes(call, at: 1, rank: rank), dtype: input.dtype)
          guard mask.count == 2 else { throw call.mismatch(6, "2 bools") }
          // PyTorch gives the grid's gradient always.
          return [
            mask[0] ? TensorMeta(dtype: input.dtype, sizes: input.sizes, device: input.device) : nil,
            TensorMeta(dtype: grid.dtype, sizes: grid.sizes, device: grid.device),
          ]
        },
        lowering: { call, results, builder in
          let (gradient, input, grid) = (try call.reference(0), try call.reference(1), try call.reference(2))
          let sampling = try GridSampling(call, at: 3, rank: rank, over: input, places: grid)
          if try call.bools(6)[0] {
            builder.spread(gradient, sampling.sampling, places: sampling.places, to: results[0])
          }
          builder.append(.loop(sampling.gridGradient(of: gradient, input, to: results[results.count - 1])))
        })
    )
    .derivative(of: "grad_output", "input", "grid", saving: ["grad_output", "input", "grid"]) { d -> [Value] in
      let gradients = try gridSampledDoubleBackward(d, sample: sample(), backward: backward())
      return gradients.map { $0.map { .reference($0) } ?? .none }
    }
  }
}

/// The coordinates of a grid as places in an image.
struct GridSampling {
  let sampling: Sampling
  /// The coordinates, one load per dimension of the image, first dimension first.
  let places: [LoopKernel.Access]
  /// How each place changes with its coordinate.
  let slopes: [ScalarExpression]

  /// Reads interpolation_mode, padding_mode and align_corners from a position on.
  init(_ call: LoweringCall, at position: Int, rank: Int, over image: Operand, places grid: Operand) throws {
    let dtype = image.dtype.accumulator
    let dimensions = try Self.dimensions(call, at: position, sizes: Array(image.sizes[2...]), dtype)
    sampling = Sampling(taps: dimensions.map(\.taps), dtype: dtype)
    slopes = dimensions.map(\.placeSlope)
    places = (0..<rank).map { i in
      // The same for every channel.
      .init(
        buffer: grid.buffer, dtype: grid.dtype, strides: [grid.strides[0], 0] + grid.strides[1...rank],
        offset: grid.offset + (rank - 1 - i) * grid.strides[rank + 1])
    }
  }

  /// How the image is read along each dimension, whose coordinates are loads from 0 on.
  static func dimensions(
    _ call: Call<some Any>, at position: Int, sizes: [Int], _ dtype: DType
  ) throws -> [GridPlaces] {
    let (interpolation, padding) = try modes(call, at: position)
    let alignsCorners = try call.bool(position + 2)
    return sizes.enumerated().map { i, size in
      GridPlaces(
        size: size, interpolation: interpolation, padding: padding, alignsCorners: alignsCorners,
        coordinate: .cast(dtype, .load(i)))
    }
  }

  private static func modes(_ call: Call<some Any>, at position: Int) throws -> (GridInterpolation, GridPadding) {
    guard let interpolation = GridInterpolation(rawValue: try call.int(position)),
      let padding = GridPadding(rawValue: try call.int(position + 1))
    else {
      throw OperatorError(
        .argument, call.target.name,
        "interpolation_mode and padding_mode must be 0, 1 or 2, got \(try call.int(position)) and \(try call.int(position + 1))"
      )
    }
    return (interpolation, padding)
  }

  /// - Throws: `OperatorError` where the image and the grid, at the position after it, do not fit.
  static func resultSizes(_ call: OperatorCall, at position: Int, rank: Int) throws -> [SymInt] {
    let (image, grid) = (try call.tensor(position), try call.tensor(position + 1))
    guard image.rank == rank + 2, grid.rank == rank + 2, image.sizes[0] == grid.sizes[0],
      grid.sizes[rank + 1] == SymInt(rank), !image.sizes.suffix(rank).contains(0), image.dtype == grid.dtype
    else {
      throw OperatorError(
        .shape, call.target.name,
        "needs an image [n, c, …] of \(rank) dimensions that are not empty and a grid [n, …, \(rank)] of its dtype, got \(image.dtype) \(image.sizes) and \(grid.dtype) \(grid.sizes)"
      )
    }
    try call.checkDType(position, \.isFloatingPoint)
    _ = try modes(call, at: position + 2)
    return Array(image.sizes.prefix(2) + grid.sizes[1...rank])
  }

  /// Along each dimension, the change of what all channels hold at a place.
  func gridGradient(of gradient: Operand, _ image: Operand, to result: Operand) -> LoopKernel {
    let rank = slopes.count
    // Channels are summed over, innermost.
    let order = [0] + Array(2..<(rank + 2)) + [1]
    let elements = sampling.choices.map { sampling.access(image, $0) }
    let loads = places + [gradient.access] + elements
    let reductions = (0..<rank).map { i in
      let change = sampling.value(loads: rank + 1, changeAlong: i)
      return LoopKernel.Reduction(.sum, .cast(sampling.dtype, .load(rank)) * change, dtype: sampling.dtype)
    }
    let stores = (0..<rank).map { i in
      var access = result.access
      access.strides.removeLast()
      access.offset += (rank - 1 - i) * result.strides[rank + 1]
      return LoopKernel.Store(access, .cast(result.dtype, .reduced(i) * slopes[i]), extent: .outer)
    }
    return LoopKernel(
      outerSizes: [gradient.sizes[0]] + gradient.sizes[2...], reducedSizes: [gradient.sizes[1]],
      loads: loads.map { load in
        var load = load
        load.strides = order.map { load.strides[$0] }
        return load
      },
      reductions: reductions, stores: stores)
  }
}
