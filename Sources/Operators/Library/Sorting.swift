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
          var sizes = input.sizes
          if let count = try read(call).count {
            let available = input.rank == 0 ? 1 : input.shape[dimension]
            guard (0...available).contains(count) else {
              throw OperatorError(
                .index, call.target.name, "argument 'k' must be in 0...\(available), got \(count)")
            }
            if input.rank > 0 { sizes[dimension] = SymInt(count) }
          }
          return [input.dtype, .int64].map { TensorMeta(dtype: $0, sizes: sizes, device: input.device) }
        },
        body: { call, results in
          let input = try call.tensor(0)
          try input.order(
            along: dimension(call, rank: input.rank), descends: read(call).descends, values: results[0],
            indices: results[1])
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
  /// Writes the first elements in order, and where they stood, as many as the results have along the dimension.
  fileprivate func order(along dimension: Int, descends: Bool, values: Tensor, indices: Tensor) throws {
    switch dtype {
    case .float64: try order(Double.self, dimension, descends, values, indices) { $0 }
    case .float32: try order(Float.self, dimension, descends, values, indices) { Double($0) }
    case .float16: try order(Half.self, dimension, descends, values, indices) { Double(Float($0)) }
    case .bfloat16: try order(BFloat16.self, dimension, descends, values, indices) { Double(Float($0)) }
    case .bool: try order(Bool.self, dimension, descends, values, indices) { $0 ? 1 : 0 }
    case .uint8: try order(UInt8.self, dimension, descends, values, indices) { Int($0) }
    case .int8: try order(Int8.self, dimension, descends, values, indices) { Int($0) }
    case .int16: try order(Int16.self, dimension, descends, values, indices) { Int($0) }
    case .int32: try order(Int32.self, dimension, descends, values, indices) { Int($0) }
    case .int64: try order(Int.self, dimension, descends, values, indices) { $0 }
    }
  }

  private func order<Element: TensorElement, Key: Comparable>(
    _ type: Element.Type, _ dimension: Int, _ descends: Bool, _ values: Tensor, _ indices: Tensor,
    _ key: (Element) -> Key
  ) throws {
    guard let source = storage.baseAddress?.assumingMemoryBound(to: Element.self),
      let valueTarget = values.storage.baseAddress?.assumingMemoryBound(to: Element.self),
      let indexTarget = indices.storage.baseAddress?.assumingMemoryBound(to: Int.self), !values.layout.isEmpty
    else { return }
    let size = rank == 0 ? 1 : shape[dimension]
    let count = rank == 0 ? 1 : values.shape[dimension]
    func stride(_ tensor: Tensor) -> Int { rank == 0 ? 0 : tensor.strides[dimension].value }
    func starts(_ tensor: Tensor) -> [Int] {
      var rest = tensor.layout
      if rank > 0 { rest.sizes[dimension] = 1 }
      var result: [Int] = []
      rest.forEachElementIndex { result.append($0) }
      return result
    }
    // A key that is not equal to itself is a NaN: the largest.
    func precedes(_ a: Key, _ b: Key) -> Bool { a == a && (b != b || a < b) }
    for ((start, valueStart), indexStart) in zip(zip(starts(self), starts(values)), starts(indices)) {
      let keys = (0..<size).map { key(source[start + $0 * stride(self)]) }
      let order = (0..<size).sorted { a, b in
        if descends ? precedes(keys[b], keys[a]) : precedes(keys[a], keys[b]) { return true }
        if descends ? precedes(keys[a], keys[b]) : precedes(keys[b], keys[a]) { return false }
        return a < b
      }
      for place in 0..<count {
        valueTarget[valueStart + place * stride(values)] = source[start + order[place] * stride(self)]
        indexTarget[indexStart + place * stride(indices)] = order[place]
      }
    }
  }

  /// The elements along a dimension in order, and the indices where they stood.
  public func sort(_ dimension: Int = -1, descending: Bool = false) throws -> (values: Tensor, indices: Tensor) {
    let results = try OperatorLibrary.sort.several(.reference(self), Value(dimension), .bool(descending))
    return (results[0], results[1])
  }

  public func argsort(_ dimension: Int = -1, descending: Bool = false) throws -> Tensor {
    try sort(dimension, descending: descending).indices
  }

  /// The k largest (or smallest) elements along a dimension, in order, and the indices where they stood.
  public func topk(
    _ count: Int, _ dimension: Int = -1, largest: Bool = true
  ) throws -> (values: Tensor, indices: Tensor) {
    let results = try OperatorLibrary.topk.several(
      .reference(self), Value(count), Value(dimension), .bool(largest))
    return (results[0], results[1])
  }
}
