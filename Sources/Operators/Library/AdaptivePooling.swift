import GraphIR
import LoopIR
import TensorCore

// The mean of as many windows as are asked for, which share the input as evenly as they can.
extension OperatorLibrary {
  static let adaptivePooling = [
    adaptiveAvgPool1d, adaptiveAvgPool2d, adaptiveAvgPool2dForward, adaptiveAvgPool2dBackward,
  ]

  /// Window o of n over a dimension of size s runs from ⌊o·s/n⌋ to before ⌈(o+1)·s/n⌉.
  public static let adaptiveAvgPool2dForward: OperatorDefinition = OperatorDefinition(
    "_adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor", traits: .reduction,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        let counts = try call.adaptiveCounts(input)
        return [
          TensorMeta(dtype: input.dtype, sizes: input.sizes.dropLast(2) + [SymInt](counts), device: input.device)
        ]
      },
      lowering: { call, results, builder in
        let (input, result) = (try call.reference(0), results[0])
        let windows = AdaptiveWindows(space: Array(input.sizes.suffix(2)), counts: Array(result.sizes.suffix(2)))
        let leading = result.sizes.count - 2
        let dtype = input.dtype.accumulator
        let value = LoopIR.select(windows.isInside(leading), .cast(dtype, .load(0)), 0)
        let mean = ScalarExpression.reduced(0) / .cast(dtype, windows.elementCount(leading))
        builder.append(
          .loop(
            LoopKernel(
              outerSizes: result.sizes, reducedSizes: windows.longest, loads: [windows.access(input, leading)],
              reductions: [.init(.sum, value, dtype: dtype)],
              stores: [.init(result.access, .cast(result.dtype, mean), extent: .outer)])))
      })
  )
  .derivative(of: "self", saving: ["self"]) { d in
    try adaptiveAvgPool2dBackward(.reference(d.gradient), d["self"])
  }

  public static let adaptiveAvgPool2dBackward = OperatorDefinition(
    "_adaptive_avg_pool2d_backward(Tensor grad_output, Tensor self) -> Tensor",
    .kernel(
      shape: { call in
        let (gradient, input) = (try call.tensor(0), try call.tensor(1))
        guard gradient.rank == input.rank, input.rank == 3 || input.rank == 4,
          gradient.sizes.dropLast(2) == input.sizes.dropLast(2), !gradient.layout.isEmpty
        else {
          throw OperatorError(
            .shape, call.target.name, "'grad_output' of sizes \(gradient.sizes) does not fit 'self' of \(input.sizes)")
        }
        return [TensorMeta(dtype: gradient.dtype, sizes: input.sizes, device: input.device)]
      },
      lowering: { call, results, builder in
        let gradient = try call.reference(0)
        builder.accumulate(in: results[0]) { sum, builder in
          let windows = AdaptiveWindows(space: Array(sum.sizes.suffix(2)), counts: Array(gradient.sizes.suffix(2)))
          let leading = gradient.sizes.count - 2
          var load = gradient.access
          load.strides += [0, 0]
          let share = .cast(sum.dtype, .load(0)) / .cast(sum.dtype, windows.elementCount(leading)) as ScalarExpression
          builder.append(
            .loop(
              LoopKernel(
                outerSizes: gradient.sizes + windows.longest, loads: [load],
                stores: [
                  .init(
                    windows.access(sum, leading), LoopIR.select(windows.isInside(leading), share, 0), mode: .accumulate)
                ])))
        }
      })
  )
  .derivative(of: "grad_output") { d in
    try adaptiveAvgPool2dForward(.reference(d.gradient), Value(Array(d.sizes("grad_output").suffix(2))))
  }
  .derivative(of: "self") { _ in nil }

  public static let adaptiveAvgPool2d = OperatorDefinition(
    "adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor",
    .composite { call in
      let input = try call.tensor(0)
      // The mean over the whole plane is a plain mean.
      if try call.adaptiveCounts(input) == [1, 1] {
        return .reference(try input.mean([-1, -2], keepDimensions: true))
      }
      return .reference(try adaptiveAvgPool2dForward(call.arguments))
    })

  public static let adaptiveAvgPool1d = OperatorDefinition(
    "adaptive_avg_pool1d(Tensor self, int[1] output_size) -> Tensor",
    .composite { call in
      let input = try call.tensor(0).unsqueeze(-2)
      return .reference(
        try adaptiveAvgPool2d(.reference(input), Value([1, call.ints(1, count: 1)[0]])).squeeze(-2))
    })
}

/// Windows that share two dimensions evenly, in a loop over windows and then over places in a window.
private struct AdaptiveWindows {
  let space: [Int]
  let counts: [Int]

  /// The most places that a window has along each dimension.
  var longest: [Int] {
    zip(space, counts).map { size, count in
      (0..<count).map { ((($0 + 1) * size + count - 1) / count) - $0 * size / count }.max() ?? 0
    }
  }

  private func start(_ i: Int, _ leading: Int) -> ScalarExpression {
    .binary(.floorDivide, .coordinate(leading + i) * .constant(.int(space[i])), .constant(.int(counts[i])))
  }

  private func end(_ i: Int, _ leading: Int) -> ScalarExpression {
    let scaled = (.coordinate(leading + i) + 1) * .constant(.int(space[i])) + .constant(.int(counts[i] - 1))
    return .binary(.floorDivide, scaled, .constant(.int(counts[i])))
  }

  func elementCount(_ leading: Int) -> ScalarExpression {
    .cast(.int64, (end(0, leading) - start(0, leading)) * (end(1, leading) - start(1, leading)))
  }

  /// Whether a place lies in its window: not all windows have the longest's length.
  func isInside(_ leading: Int) -> ScalarExpression {
    func holds(_ i: Int) -> ScalarExpression { start(i, leading) + .coordinate(leading + 2 + i) .< end(i, leading) }
    return .binary(.bitwiseAnd, holds(0), holds(1))
  }

  /// The element at each place of each window; places outside the window read the last element.
  func access(_ operand: Operand, _ leading: Int) -> LoopKernel.Access {
    let indirections = (0..<2).map { i in
      let place = start(i, leading) + .coordinate(leading + 2 + i)
      return LoopKernel.Indirection(
        index: .binary(.minimum, place, .constant(.int(space[i] - 1))), size: space[i],
        stride: operand.strides[leading + i])
    }
    return .init(
      buffer: operand.buffer, dtype: operand.dtype, strides: operand.strides[..<leading] + [0, 0, 0, 0],
      offset: operand.offset, indirections: indirections)
  }
}

extension Call where Reference == Tensor {
  /// The number of windows along each of the last two dimensions: argument 1.
  fileprivate func adaptiveCounts(_ input: Tensor) throws -> [Int] {
    let counts = try ints(1, count: 2)
    guard input.rank == 3 || input.rank == 4, !input.sizes.suffix(3).contains(0), counts.allSatisfy({ $0 > 0 }) else {
      throw OperatorError(
        .shape, target.name,
        "needs [c, h, w] or [n, c, h, w] and a positive output_size, got sizes \(input.sizes) and \(counts)")
    }
    guard input.dtype.isFloatingPoint else {
      throw OperatorError(.dtype, target.name, "is not defined for \(input.dtype)")
    }
    return counts
  }
}

extension Tensor {
  /// The mean of so many windows over the last two dimensions, which share them evenly.
  public func adaptiveAvgPool2d(_ height: Int, _ width: Int) throws -> Tensor {
    try OperatorLibrary.adaptiveAvgPool2d(.reference(self), Value([height, width]))
  }
}
