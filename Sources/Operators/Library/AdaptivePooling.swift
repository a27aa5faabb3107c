import GraphIR
import LoopIR
import TensorCore

// The mean of as many windows as are asked for, which share the input as evenly as they can.
extension OperatorLibrary {
  static let adaptivePooling = [
    adaptiveAvgPool1d, adaptiveAvgPool2d, adaptiveAvgPool3d, adaptiveAvgPool2dForward, adaptiveAvgPool3dForward,
    adaptiveAvgPool2dBackward, adaptiveAvgPool3dBackward,
  ]

  public static let adaptiveAvgPool2dForward: OperatorDefinition = adaptiveAverage(
    "_adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor", rank: 2, gradient: adaptiveAvgPool2dBackward)

  public static let adaptiveAvgPool3dForward: OperatorDefinition = adaptiveAverage(
    "_adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor", rank: 3, gradient: adaptiveAvgPool3dBackward)

  /// Each element gets its share of the gradient of every window that it is in.
  public static let adaptiveAvgPool2dBackward = adaptiveAverageBackward(
    "_adaptive_avg_pool2d_backward(Tensor grad_output, Tensor self) -> Tensor", rank: 2,
    transpose: adaptiveAvgPool2dForward)

  public static let adaptiveAvgPool3dBackward = adaptiveAverageBackward(
    "_adaptive_avg_pool3d_backward(Tensor grad_output, Tensor self) -> Tensor", rank: 3,
    transpose: adaptiveAvgPool3dForward)

  public static let adaptiveAvgPool2d = adaptiveMean(
    "adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor", rank: 2, adaptiveAvgPool2dForward)

  public static let adaptiveAvgPool3d = adaptiveMean(
    "adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor", rank: 3, adaptiveAvgPool3dForward)

  public static let adaptiveAvgPool1d = OperatorDefinition(
    "adaptive_avg_pool1d(Tensor self, int[1] output_size) -> Tensor",
    .composite { call in
      let (input, counts) = (try call.planeOfRow(0), try call.exactInts(1, count: 1))
      return .reference(try adaptiveAvgPool2d(.reference(input), Value([1] + counts)).squeeze(-2))
    })

  /// The mean over the whole space is a plain mean.
  private static func adaptiveMean(_ schema: String, rank: Int, _ pooled: OperatorDefinition) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .composite { call in
        let input = try call.tensor(0)
        guard try call.exactInts(1, count: rank).allSatisfy({ $0 == 1 }), input.rank >= rank else {
          return .reference(try pooled(call.arguments))
        }
        return .reference(try input.mean((1...rank).map { -$0 }, keepDimensions: true))
      })
  }

  private static func adaptiveAverage(
    _ schema: String, rank: Int, gradient: @autoclosure @escaping @Sendable () -> OperatorDefinition
  ) -> OperatorDefinition {
    OperatorDefinition(
      schema, traits: .reduction,
      .kernel(
        shape: { call in
          let input = try call.tensor(0)
          let sizes = try call.adaptiveSizes(rank: rank, allowsNoChannels: rank == 2)
          return [TensorMeta(sizes, likePlanes: input, rank: rank)]
        },
        lowering: { call, results, builder in
          let (input, result) = (try call.reference(0), results[0])
          let windows = AdaptiveWindows(over: input, to: result, rank: rank)
          let dtype = input.dtype.accumulator
          let value = LoopIR.select(windows.isInside, .cast(dtype, .load(0)), 0)
          let mean = ScalarExpression.reduced(0) / .cast(dtype, windows.elementCount)
          builder.append(
            .loop(
              LoopKernel(
                outerSizes: result.sizes, reducedSizes: windows.longest, loads: [windows.access(input)],
                reductions: [.init(.sum, value, dtype: dtype)],
                stores: [.init(result.access, .cast(result.dtype, mean), extent: .outer)])))
        })
    )
    .derivative(saving: ["self"]) { d in try gradient()(.reference(d.gradient), d["self"]) }
  }

  private static func adaptiveAverageBackward(
    _ schema: String, rank: Int, transpose: @autoclosure @escaping @Sendable () -> OperatorDefinition
  ) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .kernel(
        shape: { call in
          let input = try call.tensor(1)
          try call.checkDType(1, \.isFloatingPoint)
          try call.checkAdaptiveGradient(rank: rank)
          return [TensorMeta(input.sizes, likePlanes: input, rank: rank)]
        },
        lowering: { call, results, builder in
          let gradient = try call.reference(0)
          builder.accumulate(in: results[0]) { sum, builder in
            let windows = AdaptiveWindows(over: sum, to: gradient, rank: rank)
            var load = gradient.access
            load.strides += [Int](repeating: 0, count: rank)
            let share = ScalarExpression.cast(sum.dtype, .load(0)) / .cast(sum.dtype, windows.elementCount)
            builder.append(
              .loop(
                LoopKernel(
                  outerSizes: gradient.sizes + windows.longest, loads: [load],
                  stores: [
                    .init(windows.access(sum), LoopIR.select(windows.isInside, share, 0), mode: .accumulate)
                  ])))
          }
        })
    )
    .derivative(of: "grad_output") { d in
      try transpose()(.reference(d.gradient), Value(Array(d.sizes("grad_output").suffix(rank))))
    }
    .derivative(of: "self") { _ in nil }
  }
}

extension Call where Reference == Tensor {
  /// Sizes of a result with as many windows along the last dimensions as argument 1 says.
  ///
  /// - Throws: `OperatorError` where argument 0 is no image of floating-point numbers whose space has elements. The first
  ///   dimension may be empty.
  func adaptiveSizes(rank: Int, allowsNoChannels: Bool = false) throws -> [SymInt] {
    let (input, counts) = (try tensor(0), try exactInts(1, count: rank))
    let filled = allowsNoChannels ? input.sizes.suffix(rank) : input.sizes.dropFirst()
    guard [rank + 1, rank + 2].contains(input.rank), !filled.contains(0), counts.allSatisfy({ $0 >= 0 }) else {
      throw OperatorError(
        .shape, target.name,
        "needs \(rank + 1) or \(rank + 2) dimensions, those to be pooled not empty, and no negative output_size; got sizes \(input.sizes) and \(counts)"
      )
    }
    try checkDType(0, \.isFloatingPoint)
    return input.sizes.dropLast(rank) + [SymInt](counts)
  }

  /// - Throws: `OperatorError` where argument 0 is not the gradient of windows over argument 1.
  func checkAdaptiveGradient(rank: Int) throws {
    let (gradient, input) = (try tensor(0), try tensor(1))
    guard [rank + 1, rank + 2].contains(input.rank), !input.sizes.suffix(rank).contains(0), gradient.rank == input.rank,
      !gradient.sizes.dropFirst().contains(0)
    else {
      throw OperatorError(
        .shape, target.name, "'grad_output' of sizes \(gradient.sizes) does not fit 'self' of \(input.sizes)")
    }
    try checkGradient(sizes: input.sizes.dropLast(rank) + gradient.sizes.suffix(rank), dtype: input.dtype)
  }

  /// A tensor [c, l] or [n, c, l] as planes of one row.
  func planeOfRow(_ position: Int) throws -> Tensor {
    let input = try tensor(position)
    guard input.rank == 2 || input.rank == 3 else {
      throw OperatorError(.shape, target.name, "'self' must have 2 or 3 dimensions, got sizes \(input.sizes)")
    }
    return try input.unsqueeze(-2)
  }
}

extension Tensor {
  /// The mean of so many windows over the last two dimensions, which share them evenly.
  public func adaptiveAvgPool2d(_ height: Int, _ width: Int) throws -> Tensor {
    try OperatorLibrary.adaptiveAvgPool2d(.reference(self), Value([height, width]))
  }
}
