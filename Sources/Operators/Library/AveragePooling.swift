import GraphIR
import LoopIR
import TensorCore

// The mean of each window.
extension OperatorLibrary {
  static let averagePooling = [avgPool1d, avgPool2d, avgPool3d, avgPool2dBackward, avgPool3dBackward]

  /// The mean of each window over the last two dimensions. Padding counts as zeros, or not at all.
  public static let avgPool2d: OperatorDefinition = averagePool(
    """
    avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, \
    bool count_include_pad=True, int? divisor_override=None) -> Tensor
    """, rank: 2
  )
  .derivative(of: "self", saving: ["self"]) { d in
    try avgPool2dBackward([.reference(d.gradient)] + d.call.arguments)
  }

  public static let avgPool3d: OperatorDefinition = averagePool(
    """
    avg_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, bool ceil_mode=False, \
    bool count_include_pad=True, int? divisor_override=None) -> Tensor
    """, rank: 3
  )
  .derivative(of: "self", saving: ["self"]) { d in
    try avgPool3dBackward([.reference(d.gradient)] + d.call.arguments)
  }

  public static let avgPool2dBackward: OperatorDefinition = averagePoolBackward(
    """
    avg_pool2d_backward(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] stride, int[2] padding, \
    bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor
    """, rank: 2
  )
  .derivative(of: "grad_output") { d in try avgPool2d([.reference(d.gradient)] + d.call.arguments[2...]) }
  .derivative(of: "self") { _ in nil }

  public static let avgPool3dBackward: OperatorDefinition = averagePoolBackward(
    """
    avg_pool3d_backward(Tensor grad_output, Tensor self, int[3] kernel_size, int[3] stride, int[3] padding, \
    bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor
    """, rank: 3
  )
  .derivative(of: "grad_output") { d in try avgPool3d([.reference(d.gradient)] + d.call.arguments[2...]) }
  .derivative(of: "self") { _ in nil }

  public static let avgPool1d = OperatorDefinition(
    """
    avg_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=[0], bool ceil_mode=False, \
    bool count_include_pad=True) -> Tensor
    """,
    .composite { call in
      let stride = try call.ints(2)
      let result = try avgPool2d([
        .reference(call.tensor(0).unsqueeze(-2)), Value([1] + call.ints(1)), Value(stride.isEmpty ? [] : [1] + stride),
        Value([0] + call.ints(3)), call.arguments[4], call.arguments[5], .none,
      ])
      return .reference(try result.squeeze(-2))
    })

  /// What PyTorch averages: over three dimensions, no half precision.
  private static func averages(_ dtype: DType, rank: Int) -> Bool {
    dtype == .int64 || (rank == 3 ? [.float32, .float64].contains(dtype) : dtype.isFloatingPoint)
  }

  private static func averagePool(_ schema: String, rank: Int) -> OperatorDefinition {
    OperatorDefinition(
      schema, traits: .reduction,
      .kernel(
        shape: { call in
          let input = try call.tensor(0)
          let pool = try call.averagePool(at: 1, rank: rank, space: input.shape)
          try call.checkDType(0) { averages($0, rank: rank) }
          return [TensorMeta([SymInt](input.shape.dropLast(rank) + pool.counts), likePlanes: input, rank: rank)]
        },
        lowering: { call, results, builder in
          let input = try call.reference(0)
          let pool = try call.averagePool(at: 1, rank: rank, space: input.sizes)
          let padded = pool.windows.padded(
            input, with: Scalar.int(0).converted(to: input.dtype), sizes: pool.paddedSizes, &builder)
          let operand = pool.windows.operand(over: padded, kernel: pool.kernel, counts: pool.counts)
          let divisor = try pool.divisor(call, at: 1)
          builder.reduce(
            .sum, [operand], over: Array(results[0].sizes.count..<operand.sizes.count), to: results[0],
            accumulating: input.dtype.accumulator, finish: { $0 / .cast(input.dtype.accumulator, divisor) })
        }))
  }

  private static func averagePoolBackward(_ schema: String, rank: Int) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .kernel(
        shape: { call in
          let input = try call.tensor(1)
          let pool = try call.averagePool(at: 2, rank: rank, space: input.shape)
          try call.checkDType(1) { averages($0, rank: rank) }
          try call.checkGradient(sizes: [SymInt](input.shape.dropLast(rank) + pool.counts), dtype: input.dtype)
          return [TensorMeta(input.sizes, likePlanes: input, rank: rank)]
        },
        lowering: { call, results, builder in
          let (gradient, result) = (try call.reference(0), results[0])
          let pool = try call.averagePool(at: 2, rank: rank, space: result.sizes)
          let sum = builder.temporary(result.dtype.accumulator, result.sizes.dropLast(rank) + pool.paddedSizes)
          builder.fill(sum, Scalar.int(0).converted(to: sum.dtype))
          let target = pool.windows.operand(over: sum, kernel: pool.kernel, counts: pool.counts)
          let spread = gradient.viewed(
            as: target.sizes, strides: gradient.strides + [Int](repeating: 0, count: rank), offset: gradient.offset)
          let divisor = try pool.divisor(call, at: 2)
          builder.pointwise([spread], to: target, mode: .accumulate) { x in
            .cast(sum.dtype, x[0]) / .cast(sum.dtype, divisor)
          }
          builder.copy(pool.windows.interior(of: sum, sizes: result.sizes), to: result)
        }))
  }
}

extension Call {
  fileprivate func averagePool(at position: Int, rank: Int, space: [Int]) throws -> PoolGeometry {
    if let divisor = try optionalInt(position + 5), divisor == 0 {
      throw OperatorError(.argument, target.name, "argument 'divisor_override' must not be zero")
    }
    return try PoolGeometry(self, at: position, rank: rank, space: space, hasDilation: false)
  }
}

extension PoolGeometry {
  fileprivate var paddedSizes: [Int] { windows.padded(space, kernel: kernel, counts: counts) }

  /// What the sum over a window is divided by, as int64, by the window's coordinates.
  fileprivate func divisor(_ call: LoweringCall, at position: Int) throws -> ScalarExpression {
    if let divisor = try call.optionalInt(position + 5) { return .constant(.int(divisor)) }
    let countsPadding = try call.bool(position + 4)
    let leading = try call.reference(position - 1).sizes.count - rank
    var result = ScalarExpression.constant(.int(1))
    for i in 0..<rank {
      result = result * length(i, window: .coordinate(leading + i), countsPadding: countsPadding)
    }
    return .cast(.int64, result)
  }

  /// How many elements a window has along a dimension: those in the input, or in it and its padding.
  private func length(_ i: Int, window: ScalarExpression, countsPadding: Bool) -> ScalarExpression {
    let padding = windows.padding[i]
    if !windows.roundsUp && (countsPadding || padding == 0) { return .constant(.int(kernel[i])) }
    let start = window * .constant(.int(windows.strides[i])) - .constant(.int(padding))
    let end = start + .constant(.int(kernel[i]))
    let limit = ScalarExpression.constant(.int(space[i] + (countsPadding ? padding : 0)))
    let first = countsPadding ? start : .binary(.maximum, start, .constant(.int(0)))
    return .binary(.minimum, end, limit) - first
  }
}

extension Tensor {
  /// The mean of each window over the last two dimensions; without a stride, windows do not overlap.
  public func avgPool2d(_ kernelSize: Int, stride: Int? = nil, padding: Int = 0) throws -> Tensor {
    let strides = stride.map { [$0, $0] } ?? []
    return try OperatorLibrary.avgPool2d(
      .reference(self), Value([kernelSize, kernelSize]), Value(strides), Value([padding, padding]))
  }
}
