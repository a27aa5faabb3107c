import GraphIR
import LoopIR
import TensorCore

// The largest element of each window.
extension OperatorLibrary {
  static let maxPooling = [
    maxPool2dWithIndices, maxPool3dWithIndices, maxPool2dWithIndicesBackward, maxPool3dWithIndicesBackward,
    maxPool1d, maxPool2d, maxPool3d, maxPool1dWithIndices,
  ]

  /// The largest element of each window over the last two dimensions, and its index in the flattened plane.
  public static let maxPool2dWithIndices: OperatorDefinition = maxPool(
    """
    max_pool2d_with_indices(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, \
    bool ceil_mode=False) -> (Tensor, Tensor)
    """, rank: 2
  )
  .derivative(of: "self", saving: ["self", "result1"]) { d in
    try maxPool2dWithIndicesBackward([.reference(d.gradient)] + d.call.arguments + [.reference(d.results[1])])
  }

  public static let maxPool3dWithIndices: OperatorDefinition = maxPool(
    """
    max_pool3d_with_indices(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, \
    bool ceil_mode=False) -> (Tensor, Tensor)
    """, rank: 3
  )
  .derivative(of: "self", saving: ["self", "result1"]) { d in
    try maxPool3dWithIndicesBackward([.reference(d.gradient)] + d.call.arguments + [.reference(d.results[1])])
  }

  /// Each window's gradient, added to the element that was the largest.
  public static let maxPool2dWithIndicesBackward = maxPoolBackward(
    """
    max_pool2d_with_indices_backward(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] stride, \
    int[2] padding, int[2] dilation, bool ceil_mode, Tensor indices) -> Tensor
    """, rank: 2)

  public static let maxPool3dWithIndicesBackward = maxPoolBackward(
    """
    max_pool3d_with_indices_backward(Tensor grad_output, Tensor self, int[3] kernel_size, int[3] stride, \
    int[3] padding, int[3] dilation, bool ceil_mode, Tensor indices) -> Tensor
    """, rank: 3)

  public static let maxPool1d = OperatorDefinition(
    """
    max_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=[0], int[1] dilation=[1], \
    bool ceil_mode=False) -> Tensor
    """, .composite { call in .reference(try pooled1d(call)[0]) })

  public static let maxPool1dWithIndices = OperatorDefinition(
    """
    max_pool1d_with_indices(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=[0], \
    int[1] dilation=[1], bool ceil_mode=False) -> (Tensor, Tensor)
    """, .composite { call in .tuple(try pooled1d(call).map { .reference($0) }) })

  public static let maxPool2d = OperatorDefinition(
    """
    max_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, \
    bool ceil_mode=False) -> Tensor
    """, .composite { call in try maxPool2dWithIndices.call(call.arguments).elements?[0] ?? .none })

  public static let maxPool3d = OperatorDefinition(
    """
    max_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, \
    bool ceil_mode=False) -> Tensor
    """, .composite { call in try maxPool3dWithIndices.call(call.arguments).elements?[0] ?? .none })

  /// Pools one dimension as the last of two, of which the first has size 1.
  private static func pooled1d(_ call: OperatorCall) throws -> [Tensor] {
    let input = try call.tensor(0)
    func widened(_ position: Int, _ first: Int) throws -> Value {
      let values = try call.ints(position)
      return values.isEmpty ? Value([Int]()) : Value([first] + values)
    }
    let results = try maxPool2dWithIndices.call([
      .reference(input.unsqueeze(-2)), widened(1, 1), widened(2, 1), widened(3, 0), widened(4, 1), call.arguments[5],
    ])
    return try results.references.map { try $0.squeeze(-2) }
  }

  private static func maxPool(_ schema: String, rank: Int) -> OperatorDefinition {
    OperatorDefinition(
      schema, traits: .reduction,
      .kernel(
        shape: { call in
          let input = try call.tensor(0)
          let pool = try PoolGeometry(call, at: 1, rank: rank, space: input.shape, hasDilation: true)
          let sizes = [SymInt](input.shape.dropLast(rank) + pool.counts)
          return [
            TensorMeta(dtype: input.dtype, sizes: sizes, device: input.device),
            TensorMeta(dtype: .int64, sizes: sizes, device: input.device),
          ]
        },
        lowering: { call, results, builder in
          let input = try call.reference(0)
          let pool = try PoolGeometry(call, at: 1, rank: rank, space: input.sizes, hasDilation: true)
          builder.append(.loop(pool.maximum(of: input, to: results[0], indices: results[1], &builder)))
        }))
  }

  private static func maxPoolBackward(_ schema: String, rank: Int) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .kernel(
        shape: { call in
          let (gradient, input, indices) = (try call.tensor(0), try call.tensor(1), try call.tensor(7))
          let pool = try PoolGeometry(call, at: 2, rank: rank, space: input.shape, hasDilation: true)
          let sizes = input.shape.dropLast(rank) + pool.counts
          try call.checkIndex(7)
          guard gradient.shape == Array(sizes), indices.shape == gradient.shape else {
            throw OperatorError(
              .shape, call.target.name,
              "'grad_output' and 'indices' must have the sizes \(sizes) of the windows, got \(gradient.sizes) and \(indices.sizes)"
            )
          }
          return [TensorMeta(dtype: gradient.dtype, sizes: input.sizes, device: input.device)]
        },
        lowering: { call, results, builder in
          let (gradient, indices) = (try call.reference(0), try call.reference(7))
          builder.accumulate(in: results[0]) { sum, builder in
            let leading = sum.sizes.count - rank
            let place = sum.viewed(
              as: gradient.sizes, strides: sum.strides[..<leading] + [Int](repeating: 0, count: rank),
              offset: sum.offset)
            let plane = sum.sizes[leading...].reduce(1, *)
            builder.scatter(
              .operand(gradient), to: place, at: [IndexOperand(indices: indices, size: plane, stride: 1)],
              mode: .accumulate)
          }
        })
    )
    .derivative(of: "grad_output", saving: ["indices"]) { d in
      let indices = try d.tensor("indices").flatten(from: -rank)
      return try d.gradient.flatten(from: -rank).gather(-1, indices).reshape(d.sizes("grad_output"))
    }
    .derivative(of: "self") { _ in nil }
  }
}

extension PoolGeometry {
  /// The maximum of each window and, where it stands first, its flat index in the plane. A NaN is the maximum.
  fileprivate func maximum(
    of input: Operand, to values: Operand, indices: Operand, _ builder: inout LoopBuilder
  ) -> LoopKernel {
    let lowest = input.dtype.lowest
    let sizes = windows.padded(space, kernel: kernel, counts: counts)
    let padded = windows.padded(input, with: lowest, sizes: sizes, &builder)
    let operand = windows.operand(over: padded, kernel: kernel, counts: counts)
    let leading = input.sizes.count - rank
    let outer = Array(operand.sizes[..<(leading + rank)])
    // Padding is as low as an element can be, so it must not be found as the place of the maximum.
    let element = ScalarExpression.load(0)
    let isMaximum =
      .binary(
        .bitwiseOr, element .== .reduced(0),
        input.dtype.isFloatingPoint ? .unary(.isNaN, element) : .constant(.bool(false))) as ScalarExpression
    let isFound = .binary(.bitwiseAnd, isMaximum, isInside(leading)) as ScalarExpression
    return LoopKernel(
      outerSizes: outer, reducedSizes: kernel, loads: [operand.access],
      reductions: [
        .init(.maximum, element, dtype: input.dtype),
        .init(.argmax, LoopIR.select(isFound, .constant(.int(1)), .constant(.int(0))), dtype: .int64),
      ],
      stores: [
        .init(values.access, .cast(values.dtype, .reduced(0)), extent: .outer),
        .init(indices.access, planeIndex(.reduced(1), leading), extent: .outer),
      ])
  }

  /// Whether an element of a window is no padding, by the coordinates of the window and in it.
  private func isInside(_ leading: Int) -> ScalarExpression {
    var result = ScalarExpression.constant(.bool(true))
    for i in 0..<rank where windows.padding[i] > 0 || windows.roundsUp {
      let place = self.place(i, window: .coordinate(leading + i), inside: .coordinate(leading + rank + i))
      let holds = ScalarExpression.binary(.bitwiseAnd, place .>= 0, place .< .constant(.int(space[i])))
      result = .binary(.bitwiseAnd, result, holds)
    }
    return result
  }

  /// The flat index in the plane of the element at a flat index in a window.
  private func planeIndex(_ flat: ScalarExpression, _ leading: Int) -> ScalarExpression {
    var (result, size): (ScalarExpression, Int) = (.constant(.int(0)), 1)
    var rest = flat
    for i in (0..<rank).reversed() {
      let length = ScalarExpression.constant(.int(kernel[i]))
      let inside = ScalarExpression.binary(.remainder, rest, length)
      rest = .binary(.floorDivide, rest, length)
      result = result + place(i, window: .coordinate(leading + i), inside: inside) * .constant(.int(size))
      size *= space[i]
    }
    return result
  }

  /// The coordinate in the unpadded input.
  private func place(_ i: Int, window: ScalarExpression, inside: ScalarExpression) -> ScalarExpression {
    window * .constant(.int(windows.strides[i])) + inside * .constant(.int(windows.dilation[i]))
      - .constant(.int(windows.padding[i]))
  }
}

extension DType {
  /// A number that no element is below.
  var lowest: Scalar {
    switch self {
    case .bool: .bool(false)
    case .uint8: .int(0)
    case .int8: .int(Int(Int8.min))
    case .int16: .int(Int(Int16.min))
    case .int32: .int(Int(Int32.min))
    case .int64: .int(Int.min)
    case .float16, .bfloat16, .float32, .float64: .double(-.infinity)
    }
  }
}

extension Tensor {
  /// The largest element of each window over the last two dimensions; without a stride, windows do not overlap.
  public func maxPool2d(
    _ kernelSize: Int, stride: Int? = nil, padding: Int = 0, dilation: Int = 1, ceilMode: Bool = false
  ) throws -> Tensor {
    let strides = stride.map { [$0, $0] } ?? []
    return try OperatorLibrary.maxPool2d(
      .reference(self), Value([kernelSize, kernelSize]), Value(strides), Value([padding, padding]),
      Value([dilation, dilation]), .bool(ceilMode))
  }
}
