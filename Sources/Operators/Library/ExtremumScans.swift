import GraphIR
import TensorCore

extension OperatorLibrary {
  static let extremumScans = [cummax, cummin, cummaxminBackward]

  /// The largest element up to each, along a dimension, and the index of the last such. A NaN is larger.
  public static let cummax = extremes("cummax(Tensor self, int dim) -> (Tensor values, Tensor indices)") { $0 }

  /// The smallest element up to each, along a dimension, and the index of the last such. A NaN is smaller.
  public static let cummin = extremes("cummin(Tensor self, int dim) -> (Tensor values, Tensor indices)") { ~$0 }

  /// Each gradient added where its element stood.
  public static let cummaxminBackward = OperatorDefinition(
    "cummaxmin_backward(Tensor grad, Tensor input, Tensor indices, int dim) -> Tensor",
    .composite { call in
      let (gradient, input) = (try call.tensor(0), try call.tensor(1))
      return .reference(
        try gradient.newZeros(input.sizes).scatterAdd(call.int(3), call.tensor(2), gradient))
    })

  /// - Parameter order: Makes a rank of one by which the wanted element is the highest.
  private static func extremes(
    _ schema: String, order: @escaping @Sendable (_ rank: Int) -> Int
  ) -> OperatorDefinition {
    OperatorDefinition(
      schema, traits: .reduction,
      .host(
        shape: { call in
          let input = try call.tensor(0)
          _ = try call.dimension(1, rank: input.rank)
          return [input.dtype, .int64].map { TensorMeta(dtype: $0, sizes: input.sizes, device: input.device) }
        },
        body: { call, results in
          let input = try call.tensor(0)
          let dimension = try call.dimension(1, rank: input.rank)
          let elements = TensorLines(input, along: dimension)
          let (values, indices) = (TensorLines(results[0], along: dimension), TensorLines(results[1], along: dimension))
          try input.forEachRankedLine(along: dimension) { number, line in
            var best = RankedElement(rank: .min, place: 0)
            for element in line {
              let rank = input.isNaN(rank: element.rank) ? element.rank : order(element.rank)
              if rank >= best.rank { best = RankedElement(rank: rank, place: element.place) }
              results[0].setElement(
                values.place(number, element.place), to: input, elements.place(number, best.place))
              results[1].setIndex(indices.place(number, element.place), to: best.place)
            }
          }
        })
    )
    .derivative(saving: ["result1"]) { d in
      try cummaxminBackward(.reference(d.gradient), d["self"], .reference(d.results[1]), d["dim"])
    }
  }
}

extension Tensor {
  /// The largest element up to each, along a dimension, and the index of the last such.
  public func cummax(_ dimension: Int) throws -> (values: Tensor, indices: Tensor) {
    try pair(OperatorLibrary.cummax, Value(dimension))
  }

  /// The smallest element up to each, along a dimension, and the index of the last such.
  public func cummin(_ dimension: Int) throws -> (values: Tensor, indices: Tensor) {
    try pair(OperatorLibrary.cummin, Value(dimension))
  }
}
