import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let reductions = [sum]

  /// Sums over dimensions; none, or an empty list, means all. Integers and bool accumulate and give int64.
  public static let sum = OperatorDefinition(
    "sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    traits: .reduction,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        let dtype = try call.optionalDType(3) ?? (input.dtype.isFloatingPoint ? input.dtype : .int64)
        return [TensorMeta(dtype: dtype, sizes: try call.reducedSizes(input.sizes), device: input.device)]
      },
      lowering: { call, results, builder in
        let input = try call.reference(0)
        let accumulating = results[0].dtype.accumulator
        builder.reduce(
          .sum, [input], over: try call.reducedDimensions(rank: input.sizes.count),
          to: results[0].droppingReduced(try call.bool(2), try call.reducedDimensions(rank: input.sizes.count)),
          accumulating: accumulating)
      })
  )
  .derivative { d in
    let sizes = try d.sizes("self")
    let dimensions = try d.call.reducedDimensions(rank: sizes.count)
    let gradient = try d.call.bool(2) ? d.gradient : dimensions.reduce(d.gradient) { try $0.unsqueeze($1) }
    return try gradient.expand(sizes)
  }
}

extension Call {
  /// The dimensions to reduce, ascending: argument 1, where none or an empty list means all.
  ///
  /// - Throws: `OperatorError` where one is out of range or named twice.
  func reducedDimensions(rank: Int) throws -> [Int] {
    guard let list = try optionalInts(1), !list.isEmpty else { return Array(0..<rank) }
    let dimensions = try list.map { try target.normalizedDimension($0, rank: rank) }.sorted()
    if let (same, _) = zip(dimensions, dimensions.dropFirst()).first(where: { $0 == $1 }) {
      throw OperatorError(.argument, target.name, "dimension \(same) appears more than once in dim \(list)")
    }
    return rank == 0 ? [] : dimensions
  }

  /// The sizes left by `reducedDimensions`, with ones in their place where argument 2 (keepdim) holds.
  func reducedSizes(_ sizes: [SymInt]) throws -> [SymInt] {
    let dimensions = try reducedDimensions(rank: sizes.count)
    let keeps = try bool(2)
    return sizes.indices.compactMap { dimensions.contains($0) ? (keeps ? 1 : nil) : sizes[$0] }
  }
}

extension Operand {
  /// Without the size-1 dimensions that a reduction kept.
  func droppingReduced(_ keptDimensions: Bool, _ dimensions: [Int]) -> Operand {
    guard keptDimensions else { return self }
    let rest = sizes.indices.filter { !dimensions.contains($0) }
    return permuted(rest)
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

extension Tensor {
  /// The sum over dimensions, or over all without any named.
  public func sum(_ dimensions: [Int]? = nil, keepDimensions: Bool = false, dtype: DType? = nil) throws -> Tensor {
    try OperatorLibrary.sum(
      .reference(self), Value(dimensions), .bool(keepDimensions), dtype.map { .dtype($0) } ?? .none)
  }

  /// Summed over the dimensions that broadcasting from `sizes` added or stretched.
  public func summed(to sizes: [SymInt]) throws -> Tensor {
    if self.sizes == sizes { return self }
    let added = rank - sizes.count
    let stretched = sizes.indices.filter { sizes[$0] == 1 && self.sizes[$0 + added] != 1 }.map { $0 + added }
    let summed = try sum(Array(0..<added) + stretched, keepDimensions: true)
    return added == 0 ? summed : try summed.view(sizes)
  }
}

extension Argument {
  /// A list of integers, or none.
  init(_ values: [Int]?) { self = values.map { .list($0.map { .int(SymInt($0)) }) } ?? .none }
  init(_ values: [SymInt]) { self = .list(values.map { .int($0) }) }
}
