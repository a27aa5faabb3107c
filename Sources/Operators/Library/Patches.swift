import GraphIR
import LoopIR
import TensorCore

// Images [n, c, h, w] and their windows side by side, as columns [n, c · kernel, windows].
extension OperatorLibrary {
  static let patches = [im2col, col2im]

  public static let im2col: OperatorDefinition = OperatorDefinition(
    "im2col(Tensor self, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor",
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        try call.checkImage(0, rank: 2)
        try call.checkDType(0) { $0.isFloatingPoint || $0 == .bool }
        let patches = try Patches(call, at: 1, space: input.shape.suffix(2))
        let (channels, leading) = (input.sizes[input.rank - 3], input.sizes.dropLast(3))
        return [
          TensorMeta(
            dtype: input.dtype, sizes: leading + [channels * SymInt(patches.kernelCount), SymInt(patches.count)],
            device: input.device)
        ]
      },
      lowering: { call, results, builder in
        let input = try call.reference(0)
        let patches = try Patches(call, at: 1, space: input.sizes.suffix(2))
        let padded = patches.windows.padded(input, with: Scalar.int(0).converted(to: input.dtype), &builder)
        builder.copy(patches.places(in: padded), to: patches.columns(results[0]))
      })
  )
  .derivative { d in try col2im([.reference(d.gradient), Value(d.sizes("self").suffix(2))] + d.call.arguments[1...]) }

  /// Columns added up where their windows lie: the transpose of `im2col`.
  public static let col2im: OperatorDefinition = OperatorDefinition(
    """
    col2im(Tensor self, SymInt[2] output_size, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) \
    -> Tensor
    """,
    .kernel(
      shape: { call in
        let (columns, space) = (try call.tensor(0), try call.exactInts(1, count: 2))
        guard space.allSatisfy({ $0 > 0 && $0 <= Int.max / 4 }) else { throw call.mismatch(1, "positive sizes") }
        try call.checkImage(0, rank: 1)
        try call.checkDType(0) { $0.isFloatingPoint || $0 == .bool }
        let patches = try Patches(call, at: 2, space: space)
        let (rows, count) = (columns.shape[columns.rank - 2], columns.shape[columns.rank - 1])
        guard rows % patches.kernelCount == 0, count == patches.count else {
          throw OperatorError(
            .shape, call.target.name,
            "columns of sizes \(columns.sizes) are not \(patches.count) windows of a multiple of \(patches.kernelCount) elements"
          )
        }
        let sizes = columns.shape.dropLast(2) + [rows / patches.kernelCount] + space
        return [TensorMeta(dtype: columns.dtype, sizes: [SymInt](sizes), device: columns.device)]
      },
      lowering: { call, results, builder in
        let (columns, result) = (try call.reference(0), results[0])
        let patches = try Patches(call, at: 2, space: result.sizes.suffix(2))
        let dtype = result.dtype == .bool ? .bool : result.dtype.accumulator
        let sum = builder.temporary(dtype, result.sizes.dropLast(2) + patches.windows.padded(patches.space))
        builder.fill(sum, Scalar.int(0).converted(to: dtype))
        builder.pointwise([patches.columns(columns)], to: patches.places(in: sum), mode: .accumulate) { $0[0] }
        builder.copy(patches.windows.interior(of: sum, sizes: result.sizes), to: result)
      })
  )
  .derivative { d in try im2col([.reference(d.gradient)] + d.call.arguments[2...]) }
}

/// Where the windows of two dimensions lie.
private struct Patches {
  let windows: WindowGeometry
  let kernel: [Int]
  let space: [Int]
  /// How many windows there are along each dimension.
  let counts: [Int]

  var kernelCount: Int { kernel[0] * kernel[1] }
  var count: Int { counts[0] * counts[1] }

  /// Reads kernel_size, dilation, padding and stride from a position on.
  init(_ call: Call<some Any>, at position: Int, space: some Sequence<Int>) throws {
    kernel = try call.exactInts(position, count: 2)
    windows = WindowGeometry(
      strides: try call.exactInts(position + 3, count: 2), padding: try call.exactInts(position + 2, count: 2),
      dilation: try call.exactInts(position + 1, count: 2))
    try windows.check(call.target)
    guard kernel.allSatisfy({ 1...Int(Int32.max) ~= $0 }) else { throw call.mismatch(position, "positive sizes") }
    self.space = Array(space)
    counts = windows.counts(over: self.space, kernel: kernel)
    guard counts.allSatisfy({ $0 > 0 }) else {
      throw OperatorError(
        .shape, call.target.name,
        "a window of sizes \(kernel) does not fit the sizes \(self.space) with padding \(windows.padding)")
    }
  }

  /// A padded image [n, c, h, w] as [n, c, kernel…, windows…].
  func places(in padded: Operand) -> Operand {
    let rank = padded.sizes.count
    let all = windows.operand(over: padded, kernel: kernel, counts: counts)
    return all.permuted(Array(0..<(rank - 2)) + [rank, rank + 1, rank - 2, rank - 1])
  }

  /// Columns [n, c · kernel, windows] as [n, c, kernel…, windows…].
  func columns(_ operand: Operand) -> Operand {
    let rank = operand.sizes.count
    let channels = operand.sizes[rank - 2] / kernelCount
    return operand.splitting(rank - 1, into: counts).splitting(rank - 2, into: [channels] + kernel)
  }
}
