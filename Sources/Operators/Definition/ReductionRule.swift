import GraphIR
import LoopIR
import TensorCore

/// Which parameters of a reduction name its dimensions and whether they are kept, and what follows from them.
struct ReductionRule: Sendable {
  private let dimensions: Int?
  private let keepsDimensions: Int?
  /// Whether an empty list of dimensions means all, as no list does.
  private let emptyMeansAll: Bool

  init(_ schema: OperatorSchema, emptyMeansAll: Bool = true) {
    self.dimensions = schema.index(of: "dim")
    self.keepsDimensions = schema.index(of: "keepdim")
    self.emptyMeansAll = emptyMeansAll
  }

  /// The dimensions to reduce, ascending.
  ///
  /// - Throws: `OperatorError` where one is out of range or named twice.
  func dimensions<Reference>(_ call: Call<Reference>, rank: Int) throws -> [Int] {
    guard let dimensions, let list = try call.optionalInts(dimensions), !(list.isEmpty && emptyMeansAll) else {
      return Array(0..<rank)
    }
    let normalized = try list.map { try call.target.normalizedDimension($0, rank: rank) }.sorted()
    if let (same, _) = zip(normalized, normalized.dropFirst()).first(where: { $0 == $1 }) {
      throw OperatorError(.argument, call.target.name, "dimension \(same) appears more than once in dim \(list)")
    }
    return rank == 0 ? [] : normalized
  }

  /// Whether reduced dimensions stay, with size 1.
  func keeps<Reference>(_ call: Call<Reference>) throws -> Bool { try keepsDimensions.map(call.bool) ?? false }

  /// The sizes of the result.
  func sizes(_ call: OperatorCall) throws -> [SymInt] {
    let sizes = try call.tensor(0).sizes
    let reduced = try dimensions(call, rank: sizes.count)
    let keeps = try keeps(call)
    return sizes.indices.compactMap { reduced.contains($0) ? (keeps ? 1 : nil) : sizes[$0] }
  }

  func meta(_ call: OperatorCall, dtype: DType) throws -> TensorMeta {
    TensorMeta(dtype: dtype, sizes: try sizes(call), device: try call.tensor(0).device)
  }

  /// The number of elements folded into one.
  func count(_ call: Call<some Any>, sizes: [Int]) throws -> Int {
    try dimensions(call, rank: sizes.count).reduce(1) { $0 * sizes[$1] }
  }

  /// - Throws: `OperatorError` where nothing is folded, for operators that have no result then.
  func checkNotEmpty(_ call: OperatorCall) throws {
    let sizes = try call.tensor(0).sizes
    if let empty = try dimensions(call, rank: sizes.count).first(where: { sizes[$0] == 0 }) {
      throw OperatorError(
        .shape, call.target.name, "dimension \(empty) of shape \(sizes) is empty; the operator has no identity for it")
    }
  }

  /// The call's first tensor reduced: `values` sees the element and gives what is folded, `finish` what is stored of it.
  func lower(
    _ call: LoweringCall, to results: [Operand], _ builder: inout LoopBuilder, values: [LoopKernel.Reduction],
    finish: [ScalarExpression]
  ) throws {
    let input = try call.reference(0)
    let dimensions = try dimensions(call, rank: input.sizes.count)
    let keeps = try keeps(call)
    builder.rows(
      [input], of: input.sizes, over: dimensions, reductions: values,
      outer: zip(results, finish).map { ($0.droppingReduced(keeps, dimensions), $1) })
  }

  // MARK: - In derivatives

  /// A reduced tensor with the reduced dimensions back, in size 1.
  func restored(_ reduced: Tensor, _ d: DerivativeContext, _ parameter: String = "self") throws -> Tensor {
    let rank = try d.tensor(parameter).rank
    if try keeps(d.call) { return reduced }
    return try dimensions(d.call, rank: rank).reduce(reduced) { try $0.unsqueeze($1) }
  }

  /// The gradient of elements that were picked along a dimension: it goes to the index of each alone.
  func gradientAtIndices(_ gradient: Tensor, _ indices: Tensor, _ d: DerivativeContext) throws -> Tensor {
    let input = try d.tensor("self")
    guard let dimension = try dimensions(d.call, rank: input.rank).first else { return gradient }
    var sizes = [SymInt](repeating: 1, count: input.rank)
    sizes[dimension] = input.sizes[dimension]
    let places = try Tensor.arange(input.shape[dimension], device: input.device).view(sizes)
    let isChosen = try places.eq(restored(indices, d))
    return try isChosen.selecting(restored(gradient, d), 0.0)
  }

  /// The gradient shared evenly among the elements that equal the result.
  ///
  /// - Parameter amongNaN: Whether NaN counts as equal to NaN, as where one is picked of all elements.
  func sharedGradient(
    _ gradient: Tensor, _ result: Tensor, _ d: DerivativeContext, amongNaN: Bool = false
  ) throws -> Tensor {
    let input = try d.tensor("self")
    var isEqual = try input.eq(restored(result, d))
    if amongNaN { isEqual = try isEqual.logicalOr(input.isNaN().logicalAnd(result.isNaN())) }
    let count = try isEqual.sum(dimensions(d.call, rank: input.rank), keepDimensions: true)
    return try isEqual * (restored(gradient, d) / count)
  }
}

extension LoopBuilder {
  /// A loop nest over `sizes`, the given dimensions folded innermost: reductions, then stores.
  ///
  /// In expressions, loads are the inputs, broadcast to `sizes`; coordinates count the remaining dimensions first, then the
  /// folded ones.
  ///
  /// - Parameters:
  ///   - outer: What to store for every index of the remaining dimensions, and where.
  ///   - full: What to store for every index of all dimensions, and where.
  mutating func rows(
    _ inputs: [Operand], of sizes: [Int], over dimensions: [Int], reductions: [LoopKernel.Reduction],
    outer: [(Operand, ScalarExpression)] = [], full: [(Operand, ScalarExpression)] = []
  ) {
    let rest = sizes.indices.filter { !dimensions.contains($0) }
    let order = rest + dimensions
    let outerStores = outer.map { LoopKernel.Store($0.access, .cast($0.dtype, $1), extent: .outer) }
    let fullStores = full.map { LoopKernel.Store($0.permuted(order).access, .cast($0.dtype, $1), extent: .full) }
    append(
      .loop(
        LoopKernel(
          outerSizes: rest.map { sizes[$0] }, reducedSizes: dimensions.map { sizes[$0] },
          loads: inputs.map { $0.broadcast(to: sizes).permuted(order).access }, reductions: reductions,
          stores: outerStores + fullStores)))
  }
}

extension Operand {
  /// Without the size-1 dimensions that a reduction kept.
  func droppingReduced(_ keptDimensions: Bool, _ dimensions: [Int]) -> Operand {
    keptDimensions ? permuted(sizes.indices.filter { !dimensions.contains($0) }) : self
  }
}

extension DType {
  /// What sums of this type accumulate in.
  var accumulator: DType {
    switch self {
    case .float16, .bfloat16: .float32
    case .float32, .float64: self
    default: .int64
    }
  }
}

extension Argument {
  /// A list of integers, or none.
  package init(_ values: [Int]?) { self = values.map { .list($0.map { .int(SymInt($0)) }) } ?? .none }
  init(_ values: [SymInt]) { self = .list(values.map { .int($0) }) }
  init(_ dtype: DType?) { self = dtype.map { .dtype($0) } ?? .none }
  package init(_ value: Int) { self = .int(SymInt(value)) }
}
