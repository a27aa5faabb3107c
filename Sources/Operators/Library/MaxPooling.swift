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
    """,
    .composite { call in
      try call.checkDType(0, \.isFloatingPoint)
      return .reference(try pooled1d(call)[0])
    })

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
          try call.checkDType(0) { $0 != .bool }
          let values = TensorMeta([SymInt](input.shape.dropLast(rank) + pool.counts), like: input)
          return [values, TensorMeta(dtype: .int64, layout: values.layout, device: values.device)]
        },
        lowering: { call, results, builder in
          let input = try call.reference(0)
          let pool = try PoolGeometry(call, at: 1, rank: rank, space: input.sizes, hasDilation: true)
          builder.maxima(pool.windows(over: input, &builder), to: results[0], indices: results[1])
        }))
  }

  private static func maxPoolBackward(_ schema: String, rank: Int) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .kernel(
        shape: { call in
          let input = try call.tensor(1)
          let pool = try PoolGeometry(call, at: 2, rank: rank, space: input.shape, hasDilation: true)
          let sizes = [SymInt](input.shape.dropLast(rank) + pool.counts)
          try call.checkMaximaGradient(sizes: sizes, indices: 7)
          return [TensorMeta(input.sizes, like: input)]
        },
        lowering: { call, results, builder in
          builder.spreadMaxima(try call.reference(0), indices: try call.reference(7), rank: rank, to: results[0])
        })
    )
    .derivative(of: "grad_output", saving: ["indices"]) { d in try d.maximaGathered(rank: rank) }
    .derivative(of: "self") { _ in nil }
  }
}

extension PoolGeometry {
  /// The windows over an input, padded by what no element is below.
  fileprivate func windows(over input: Operand, _ builder: inout LoopBuilder) -> MaximumWindows {
    let sizes = windows.padded(space, kernel: kernel, counts: counts)
    let padded = windows.padded(input, with: input.dtype.lowest, sizes: sizes, &builder)
    let leading = input.sizes.count - rank
    return MaximumWindows(
      elements: windows.operand(over: padded, kernel: kernel, counts: counts).access, sizes: kernel, space: space,
      isInside: isInside(leading),
      place: { i, inside in place(i, window: .coordinate(leading + i), inside: inside) })
  }

  /// Whether an element of a window is no padding, by the coordinates of the window and in it; nil where all are.
  private func isInside(_ leading: Int) -> ScalarExpression? {
    let conditions = (0..<rank).filter { windows.padding[$0] > 0 || windows.roundsUp }.map { i in
      let place = self.place(i, window: .coordinate(leading + i), inside: .coordinate(leading + rank + i))
      return ScalarExpression.binary(.bitwiseAnd, place .>= 0, place .< .constant(.int(space[i])))
    }
    guard let first = conditions.first else { return nil }
    return conditions.dropFirst().reduce(first) { .binary(.bitwiseAnd, $0, $1) }
  }

  /// The coordinate in the unpadded input.
  private func place(_ i: Int, window: ScalarExpression, inside: ScalarExpression) -> ScalarExpression {
    window * .constant(.int(windows.strides[i])) + inside * .constant(.int(windows.dilation[i]))
      - .constant(.int(windows.padding[i]))
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
