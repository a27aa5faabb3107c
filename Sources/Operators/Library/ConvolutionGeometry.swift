import GraphIR
import LoopIR
import TensorCore

/// The arguments that say where a convolution's windows lie, and its three products with them.
struct ConvolutionGeometry {
  let windows: WindowGeometry
  let isTransposed: Bool
  let outputPadding: [Int]
  let groups: Int

  /// Reads stride, padding, dilation, transposed, output_padding and groups from a position on.
  init<Reference>(_ call: Call<Reference>, at position: Int, rank: Int) throws {
    guard (1...3).contains(rank) else {
      throw OperatorError(
        .shape, call.target.name, "'input' must have 1 to 3 dimensions after batch and channel, got \(rank)")
    }
    windows = WindowGeometry(
      strides: try call.ints(position, count: rank), padding: try call.ints(position + 1, count: rank),
      dilation: try call.ints(position + 2, count: rank))
    isTransposed = try call.bool(position + 3)
    outputPadding = isTransposed ? try call.ints(position + 4, count: rank) : []
    groups = try call.int(position + 5)
    try windows.check(call.target)
    guard groups > 0 else {
      throw OperatorError(.argument, call.target.name, "argument 'groups' must be positive, got \(groups)")
    }
    for (more, limits) in zip(outputPadding, zip(windows.strides, windows.dilation)) {
      guard more >= 0, more < max(limits.0, limits.1) else {
        throw OperatorError(
          .argument, call.target.name, "output_padding \(outputPadding) must be less than stride or dilation")
      }
    }
  }

  /// The sizes of the result.
  ///
  /// - Throws: `OperatorError` where input, weight and geometry do not fit.
  func resultSizes(_ call: OperatorCall, _ input: Tensor, _ weight: Tensor) throws -> [SymInt] {
    guard weight.rank == input.rank, weight.dtype == input.dtype else {
      throw OperatorError(
        .shape, call.target.name,
        "input and weight must have one dtype and number of dimensions, got \(input.dtype) \(input.sizes) and \(weight.dtype) \(weight.sizes)"
      )
    }
    guard input.dtype != .bool else { throw OperatorError(.dtype, call.target.name, "is not defined for bool") }
    let (kernel, channels) = (weight.shape.dropFirst(2), input.shape[1])
    let expected = isTransposed ? weight.shape[0] : weight.shape[1] * groups
    guard channels == expected, weight.shape[0] % groups == 0, !kernel.contains(0), weight.shape[0] > 0 else {
      throw OperatorError(
        .shape, call.target.name,
        "weight of sizes \(weight.sizes) in \(groups) groups does not fit an input of \(channels) channels")
    }
    let space = Array(input.shape.dropFirst(2))
    let result: [Int]
    if isTransposed {
      result = space.indices.map { i in
        (space[i] - 1) * windows.strides[i] - 2 * windows.padding[i]
          + windows.dilation[i] * (kernel[i + 2] - 1) + outputPadding[i] + 1
      }
    } else {
      result = windows.counts(over: space, kernel: Array(kernel))
    }
    guard result.allSatisfy({ $0 > 0 }) else {
      throw OperatorError(
        .shape, call.target.name,
        "a kernel of sizes \(Array(kernel)) does not fit an input of sizes \(input.sizes) with padding \(windows.padding)"
      )
    }
    let outputChannels = isTransposed ? weight.shape[1] * groups : weight.shape[0]
    return [SymInt]([input.shape[0], outputChannels] + result)
  }

  // MARK: - Products

  // Below, `wide` is the input of a (not transposed) convolution, [n, c, space…], `narrow` its output, [n, o, places…], and
  // the weight [o, c / groups, kernel…]. Each product is one of matrices per group:
  // K = c / groups · kernel, L = places, O = o / groups.

  /// narrow[n, g] = weight[g] @ windows(wide)[n, g]: [O, K] @ [K, L]
  func correlate(
    _ wide: Operand, _ weight: Operand, to narrow: Operand, adding bias: Operand?, _ builder: inout LoopBuilder
  ) {
    let windows = windows(of: wide, weight, narrow, &builder)
    let (n, k) = (narrow.sizes[0], windows.kernelCount)
    // [n, g, c / groups, kernel…, places…], copied in that order, is [n, g, K, L].
    let columns = builder.temporary(wide.dtype, windows.operand.sizes)
    builder.copy(windows.operand, to: columns)
    let l = windows.placeCount
    let right = columns.viewed(
      as: [n, groups, k, l], strides: [groups * k * l, k * l, l, 1], offset: columns.offset)
    let left = matrices(of: weight, k, &builder).repeated(n)
    if let bias { builder.copy(bias, to: narrow) }
    builder.matmul(left, right, to: narrow.places(groups), beta: bias == nil ? 0 : 1)
  }

  /// wide = the sum of weight[g]ᵀ @ narrow[n, g] over the windows that each element is in: [K, O] @ [O, L]
  func inputGradient(
    of narrow: Operand, _ weight: Operand, to wide: Operand, adding bias: Operand?, _ builder: inout LoopBuilder
  ) {
    let kernel = Array(weight.sizes[2...])
    let (n, k, l) = (narrow.sizes[0], weight.sizes[1] * kernel.reduce(1, *), narrow.sizes[2...].reduce(1, *))
    let columns = builder.temporary(wide.dtype, [n, groups, k, l])
    var left = matrices(of: weight, k, &builder).repeated(n)
    left.sizes.swapAt(2, 3)
    left.strides.swapAt(2, 3)
    let dense = narrow.isDense ? narrow : builder.copied(narrow)
    builder.matmul(left, dense.places(groups), to: columns)
    // Windows overlap: what they hold is added up, in padded space.
    let sum = builder.temporary(wide.dtype.accumulator, wide.sizes[..<2] + windows.padded(Array(wide.sizes[2...])))
    builder.fill(sum, 0)
    let target = windows.operand(over: sum, groups: groups, kernel: kernel, counts: Array(narrow.sizes[2...]))
    let source = columns.viewed(
      as: target.sizes, strides: Layout.contiguousStrides([SymInt](target.sizes)).values, offset: columns.offset)
    builder.pointwise([source], to: target, mode: .accumulate) { $0[0] }
    let interior = windows.interior(of: sum, sizes: wide.sizes)
    builder.pointwise([interior] + [bias].compactMap(\.self), to: wide) { $0.count > 1 ? $0[0] + $0[1] : $0[0] }
  }

  /// weight[g] = Σₙ narrow[n, g] @ windows(wide)[n, g]ᵀ: [O, n·L] @ [n·L, K]
  func weightGradient(of wide: Operand, _ narrow: Operand, to weight: Operand, _ builder: inout LoopBuilder) {
    let windows = windows(of: wide, weight, narrow, &builder)
    let (n, k, l) = (narrow.sizes[0], windows.kernelCount, windows.placeCount)
    let o = weight.sizes[0] / groups
    // The samples' places side by side make one long product instead of a sum of products.
    let rank = windows.operand.sizes.count
    let order = [1] + Array(2..<(3 + windows.kernelRank)) + [0] + Array((3 + windows.kernelRank)..<rank)
    let columns = builder.temporary(wide.dtype, order.map { windows.operand.sizes[$0] })
    builder.copy(windows.operand.permuted(order), to: columns)
    let right = columns.viewed(
      as: [groups, n * l, k], strides: [k * n * l, 1, n * l], offset: columns.offset)
    let grouped = narrow.splittingChannels(groups)
    let left = builder.temporary(narrow.dtype, [groups, o, n] + narrow.sizes[2...])
    builder.copy(grouped.permuted([1, 2, 0] + Array(3..<grouped.sizes.count)), to: left)
    let result = weight.isDense ? weight : builder.temporary(weight.dtype, weight.sizes)
    builder.matmul(
      left.viewed(as: [groups, o, n * l], strides: [o * n * l, n * l, 1], offset: left.offset), right,
      to: result.viewed(as: [groups, o, k], strides: [o * k, k, 1], offset: result.offset))
    if !weight.isDense { builder.copy(result, to: weight) }
  }

  // MARK: - Operands

  /// The windows of the padded input as a strided operand [n, g, c / groups, kernel…, places…].
  private struct Windows {
    let operand: Operand
    let kernelRank: Int
    var kernelCount: Int { operand.sizes[2..<(3 + kernelRank)].reduce(1, *) }
    var placeCount: Int { operand.sizes[(3 + kernelRank)...].reduce(1, *) }
  }

  private func windows(
    of wide: Operand, _ weight: Operand, _ narrow: Operand, _ builder: inout LoopBuilder
  ) -> Windows {
    let kernel = Array(weight.sizes[2...])
    let padded = windows.padded(wide, with: 0, &builder)
    let operand = windows.operand(over: padded, groups: groups, kernel: kernel, counts: Array(narrow.sizes[2...]))
    return Windows(operand: operand, kernelRank: kernel.count)
  }

  /// A weight [o, c / groups, kernel…] as [g, O, K].
  private func matrices(of weight: Operand, _ k: Int, _ builder: inout LoopBuilder) -> Operand {
    let dense = weight.isDense ? weight : builder.copied(weight)
    let o = weight.sizes[0] / groups
    return dense.viewed(as: [groups, o, k], strides: [o * k, k, 1], offset: dense.offset)
  }
}

extension Operand {
  /// Whether elements stand densely in row-major order.
  fileprivate var isDense: Bool {
    Layout(sizes: [SymInt](sizes), strides: [SymInt](strides)).isContiguous
  }

  /// [n, c, …] as [n, g, c / groups, …].
  fileprivate func splittingChannels(_ groups: Int) -> Operand {
    let channels = sizes[1] / groups
    return viewed(
      as: [sizes[0], groups, channels] + sizes[2...], strides: [strides[0], channels * strides[1]] + strides[1...],
      offset: offset)
  }

  /// [n, o, places…], dense in any memory format, as [n, g, O, L].
  fileprivate func places(_ groups: Int) -> Operand {
    let channels = sizes[1] / groups
    return viewed(
      as: [sizes[0], groups, channels, sizes[2...].reduce(1, *)],
      strides: [strides[0], channels * strides[1], strides[1], strides.last ?? 1], offset: offset)
  }

  /// The same operand for each index of a new first dimension.
  fileprivate func repeated(_ count: Int) -> Operand {
    viewed(as: [count] + sizes, strides: [0] + strides, offset: offset)
  }
}

extension LoopBuilder {
  /// A dense copy.
  fileprivate mutating func copied(_ operand: Operand) -> Operand {
    let copy = temporary(operand.dtype, operand.sizes)
    self.copy(operand, to: copy)
    return copy
  }
}
