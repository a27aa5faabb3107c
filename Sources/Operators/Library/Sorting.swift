import GraphIR
import TensorCore

// Elements in order, and where they stood.
extension OperatorLibrary {
  static let sorting = [sort, sortStable, argsort, argsortStable, topk]

  /// The elements along a dimension in order, and the indices where they stood. Equal ones keep their order; NaN is the
  /// largest.
  public static let sortStable: OperatorDefinition = ordering(
    "sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)"
  ) { call in Ordering(dimension: try call.int(2), descends: try call.bool(3)) }

  public static let sort: OperatorDefinition = ordering(
    "sort(Tensor self, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)"
  ) { call in Ordering(dimension: try call.int(1), descends: try call.bool(2)) }

  /// The k largest (or smallest) elements along a dimension, in order, and the indices where they stood.
  public static let topk = ordering(
    "topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)"
  ) { call in Ordering(dimension: try call.int(2), descends: try call.bool(3), count: try call.int(1)) }

  public static let argsort = OperatorDefinition(
    "argsort(Tensor self, int dim=-1, bool descending=False) -> Tensor",
    .composite { call in try sort.call(call.arguments).elements?[1] ?? .none })

  public static let argsortStable = OperatorDefinition(
    "argsort.stable(Tensor self, *, bool stable, int dim=-1, bool descending=False) -> Tensor",
    .composite { call in try sortStable.call(call.arguments).elements?[1] ?? .none })

  /// How a call orders elements.
  private struct Ordering {
    var dimension: Int
    var descends: Bool
    /// How many of the first to give; nil for all.
    var count: Int?
  }

  private static func ordering(
    _ schema: String, _ read: @escaping @Sendable (OperatorCall) throws -> Ordering
  ) -> OperatorDefinition {
    @Sendable func dimension(_ call: OperatorCall, rank: Int) throws -> Int {
      try call.target.normalizedDimension(read(call).dimension, rank: rank)
    }
    return OperatorDefinition(
      schema,
      .host(
        shape: { call in
          let input = try call.tensor(0)
          let dimension = try dimension(call, rank: input.rank)
          var layout = input.layout.copied(format: .preserve)
          if let count = try read(call).count {
            try call.refuseBool(input)
            let available = input.rank == 0 ? 1 : input.shape[dimension]
            guard (0...available).contains(count) else {
              throw OperatorError(
                .index, call.target.name, "argument 'k' must be in 0...\(available), got \(count)")
            }
            var sizes = input.sizes
            if input.rank > 0 { sizes[dimension] = SymInt(count) }
            layout = Layout(contiguous: sizes)
          }
          return [input.dtype, .int64].map { TensorMeta(dtype: $0, layout: layout, device: input.device) }
        },
        body: { call, results in
          let input = try call.tensor(0)
          let dimension = try dimension(call, rank: input.rank)
          let elements = TensorLines(input, along: dimension)
          let (values, indices) = (TensorLines(results[0], along: dimension), TensorLines(results[1], along: dimension))
          try input.forEachRankedLine(along: dimension, descending: read(call).descends) { number, line in
            line.sortLowest(values.length)
            for (place, element) in line.prefix(values.length).enumerated() {
              results[0].setElement(values.place(number, place), to: input, elements.place(number, element.place))
              results[1].setIndex(indices.place(number, place), to: element.place)
            }
          }
        })
    )
    .derivative(of: "self", saving: ["result1"]) { d in
      let input = try d.sizes("self")
      if input.isEmpty { return d.gradient }
      return try d.gradient.newZeros(input)
        .scatterAdd(dimension(d.call, rank: input.count), d.results[1], d.gradient)
    }
  }
}

extension Tensor {
  /// The elements along a dimension in order, and the indices where they stood.
  public func sort(_ dimension: Int = -1, descending: Bool = false) throws -> (values: Tensor, indices: Tensor) {
    try pair(OperatorLibrary.sort, Value(dimension), .bool(descending))
  }

  public func argsort(_ dimension: Int = -1, descending: Bool = false) throws -> Tensor {
    try sort(dimension, descending: descending).indices
  }

  /// The k largest (or smallest) elements along a dimension, in order, and the indices where they stood.
  public func topk(
    _ count: Int, _ dimension: Int = -1, largest: Bool = true
  ) throws -> (values: Tensor, indices: Tensor) {
    try pair(OperatorLibrary.topk, Value(count), Value(dimension), .bool(largest))
  }
}
