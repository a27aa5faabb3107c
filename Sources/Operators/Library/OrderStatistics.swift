import GraphIR
import TensorCore

// One element of each line, picked by its place in order.
extension OperatorLibrary {
  static let orderStatistics = [medianAll, median, nanmedianAll, nanmedian, kthvalue, mode]

  /// The middle element, the lower of two; NaN where there is one.
  public static let medianAll = middle("median(Tensor self) -> Tensor") { line, input in
    line.first { input.isNaN(rank: $0.rank) } ?? line.median(of: line.count)
  }
  public static let median = picking(
    "median.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)"
  ) { line, input, _ in line.first { input.isNaN(rank: $0.rank) } ?? line.median(of: line.count) }

  /// The middle one of the elements that are not NaN.
  public static let nanmedianAll = middle("nanmedian(Tensor self) -> Tensor") { line, input in
    line.median(of: line.count { !input.isNaN(rank: $0.rank) })
  }
  public static let nanmedian = picking(
    "nanmedian.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)"
  ) { line, input, _ in line.median(of: line.count { !input.isNaN(rank: $0.rank) }) }

  /// The k-th smallest element, counted from 1.
  public static let kthvalue = picking(
    "kthvalue(Tensor self, SymInt k, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
    check: { call, length in
      let k = try call.int(1)
      guard (1...length).contains(k) else {
        throw OperatorError(.index, call.target.name, "argument 'k' must be in 1...\(length), got \(k)")
      }
    }
  ) { line, _, call in
    let place = try call.int(1) - 1
    line.select(place)
    return line[place]
  }

  /// The most frequent element, the smallest of several such, where it stands last. A NaN is equal to none.
  public static let mode = picking(
    "mode(Tensor self, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)", acceptsBool: true
  ) { line, input, _ in
    line.sortLowest(line.count)
    var (best, bestCount, count) = (line[0], 0, 0)
    for place in line.indices {
      let repeats = place > 0 && line[place].rank == line[place - 1].rank && !input.isNaN(rank: line[place].rank)
      count = repeats ? count + 1 : 1
      if count > bestCount { (best, bestCount) = (line[place], count) }
    }
    return best
  }

  private static func picking(
    _ text: String, acceptsBool: Bool = false,
    check: @escaping @Sendable (_ call: OperatorCall, _ length: Int) throws -> Void = { _, _ in },
    _ pick: @escaping @Sendable (RankedLine, _ input: Tensor, OperatorCall) throws -> RankedElement
  ) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let rule = ReductionRule(schema)
    return OperatorDefinition(
      schema: schema,
      .host(
        shape: { call in
          let input = try call.tensor(0)
          if !acceptsBool { try call.refuseBool(input) }
          try rule.checkNotEmpty(call)
          try check(call, rule.count(call, sizes: input.shape))
          return [try rule.meta(call, dtype: input.dtype), try rule.meta(call, dtype: .int64)]
        },
        body: { call, results in
          let input = try call.tensor(0)
          let dimension = try rule.dimensions(call, rank: input.rank).first ?? 0
          let elements = TensorLines(input, along: dimension)
          let (values, indices) = (TensorLines(results[0], along: nil), TensorLines(results[1], along: nil))
          try input.forEachRankedLine(along: dimension) { number, line in
            let element = try pick(line, input, call)
            results[0].setElement(values.starts[number], to: input, elements.place(number, element.place))
            results[1].setIndex(indices.starts[number], to: element.place)
          }
        })
    )
    .derivative(saving: ["result1"]) { d in try rule.gradientAtIndices(d.gradient, d.results[1], d) }
  }

  /// The middle of all elements. Of the gradient, elements equal to it get equal shares.
  private static func middle(
    _ text: String, _ pick: @escaping @Sendable (RankedLine, _ input: Tensor) -> RankedElement
  ) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let rule = ReductionRule(schema)
    return OperatorDefinition(
      schema: schema,
      .host(
        shape: { call in
          let input = try call.tensor(0)
          try call.refuseBool(input)
          return [try rule.meta(call, dtype: input.dtype)]
        },
        body: { call, results in
          let input = try call.tensor(0).denseLine()
          if input.elementCount == 0 { return try EagerKernels.copy(Tensor([Double.nan], shape: []), to: results[0]) }
          try input.forEachRankedLine(along: 0) { _, line in
            results[0].setElement(results[0].layout.offset.value, to: input, pick(line, input).place)
          }
        })
    )
    .derivative(saving: ["self", "result"]) { d in
      try rule.sharedGradient(d.gradient, d.result, d, amongNaN: true)
    }
  }
}

extension RankedLine {
  /// The middle one, the lower of two, of the lowest `count` elements.
  fileprivate func median(of count: Int) -> RankedElement {
    let place = (Swift.max(count, 1) - 1) / 2
    select(place)
    return self[place]
  }
}

extension Tensor {
  /// The middle of all elements, the lower of two.
  public func median() throws -> Tensor { try OperatorLibrary.medianAll(.reference(self)) }

  /// The middle element along a dimension, and the index where it stands.
  public func median(_ dimension: Int, keepDimensions: Bool = false) throws -> (values: Tensor, indices: Tensor) {
    try pair(OperatorLibrary.median, Value(dimension), .bool(keepDimensions))
  }

  /// The middle of all elements that are not NaN.
  public func nanmedian() throws -> Tensor { try OperatorLibrary.nanmedianAll(.reference(self)) }

  public func nanmedian(_ dimension: Int, keepDimensions: Bool = false) throws -> (values: Tensor, indices: Tensor) {
    try pair(OperatorLibrary.nanmedian, Value(dimension), .bool(keepDimensions))
  }

  /// The k-th smallest element along a dimension, counted from 1, and the index where it stands.
  public func kthvalue(
    _ k: Int, _ dimension: Int = -1, keepDimensions: Bool = false
  ) throws -> (values: Tensor, indices: Tensor) {
    try pair(OperatorLibrary.kthvalue, Value(k), Value(dimension), .bool(keepDimensions))
  }

  /// The most frequent element along a dimension, and the index where it stands.
  public func mode(_ dimension: Int = -1, keepDimensions: Bool = false) throws -> (values: Tensor, indices: Tensor) {
    try pair(OperatorLibrary.mode, Value(dimension), .bool(keepDimensions))
  }

  /// Calls an operator of this tensor that gives values and indices.
  func pair(_ target: OperatorDefinition, _ arguments: Value...) throws -> (values: Tensor, indices: Tensor) {
    guard let results = try target.call([.reference(self)] + arguments).elements,
      let values = results[0].reference, let indices = results[1].reference
    else { throw OperatorError(.argument, target.name, "does not give values and indices") }
    return (values, indices)
  }
}
