import GraphIR
import TensorCore

// Distinct elements.
extension OperatorLibrary {
  static let uniques = [unique, uniqueConsecutive]

  /// The distinct elements, ascending; for each element, the index of its equal among them; how often each occurs. What is
  /// not asked for is empty. A NaN is equal to none.
  public static let unique = distinct(
    """
    _unique2(Tensor self, bool sorted=True, bool return_inverse=False, bool return_counts=False) \
    -> (Tensor, Tensor, Tensor)
    """, sorts: true, inverse: 2)

  /// The first of every run of equal elements or, along a dimension, of equal slices; for each element, the index of its run;
  /// how long each is.
  public static let uniqueConsecutive = distinct(
    """
    unique_consecutive(Tensor self, bool return_inverse=False, bool return_counts=False, int? dim=None) \
    -> (Tensor, Tensor, Tensor)
    """, sorts: false, inverse: 1)

  /// - Parameters:
  ///   - sorts: Whether equal elements are brought together first.
  ///   - inverse: Where the schema asks for the indices; whether it asks for counts comes next.
  private static func distinct(_ text: String, sorts: Bool, inverse: Int) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let dimensionPosition = schema.index(of: "dim")
    @Sendable func dimension(_ call: OperatorCall) throws -> Int? {
      guard let position = dimensionPosition, !call.arguments[position].isNone else { return nil }
      let input = try call.tensor(0)
      guard input.rank > 0 else { throw call.mismatch(position, "none for a tensor without dimensions") }
      let dimension = try call.dimension(position, rank: input.rank)
      // The slices of a tensor of one dimension are its elements.
      return input.rank == 1 ? nil : dimension
    }
    return OperatorDefinition(
      schema: schema, traits: .dataDependent,
      .host(
        shape: { call in
          let input = try call.tensor(0)
          let dimension = try dimension(call)
          if let dimension, input.sizes.enumerated().contains(where: { $0 != dimension && $1 == 0 }) {
            throw OperatorError(.shape, call.target.name, "slices of sizes \(input.sizes) have no elements to compare")
          }
          try call.refuseUnknownElements(of: input, instead: "compute it outside of the function")
          let count = SymInt(try Runs(input, along: dimension, sorted: sorts).count)
          var sizes = input.sizes
          if let dimension { sizes[dimension] = count } else { sizes = [count] }
          let indexSizes = dimension.map { [input.sizes[$0]] } ?? input.sizes
          let (givesInverse, givesCounts) = (try call.bool(inverse), try call.bool(inverse + 1))
          return [
            TensorMeta(dtype: input.dtype, sizes: sizes, device: input.device),
            TensorMeta(
              dtype: .int64, sizes: givesInverse || dimension != nil ? indexSizes : [0], device: input.device),
            TensorMeta(dtype: .int64, sizes: givesCounts || dimension != nil ? [count] : [0], device: input.device),
          ]
        },
        body: { call, results in
          let (input, dimension) = (try call.tensor(0), try dimension(call))
          try Runs(input, along: dimension, sorted: sorts).write(values: results[0], results[1], counts: results[2])
        }))
  }
}

/// Equal neighbours among the slices of a tensor along a dimension or, without one, among its elements.
private struct Runs {
  private let source: Tensor
  private let dimension: Int
  /// The indices of the slices, in the order in which they are neighbours.
  private var order: [Int]
  /// Whether each slice, in that order, is other than the one before.
  private var isFirst: [Bool]

  init(_ input: Tensor, along dimension: Int?, sorted: Bool) throws {
    let (source, along) = (try dimension == nil ? input.denseLine() : input, dimension ?? 0)
    let length = source.shape[along]
    var (order, isFirst) = (Array(0..<length), [Bool](repeating: false, count: length))
    if length > 0 { isFirst[0] = true }
    try source.forEachRankedLine(along: along) { _, line in
      if sorted {
        line.sortLowest(length)
        order = line.map(\.place)
      }
      for place in line.indices.dropFirst()
      where line[place].rank != line[place - 1].rank || source.isNaN(rank: line[place].rank) {
        isFirst[place] = true
      }
    }
    (self.source, self.dimension, self.order, self.isFirst) = (source, along, order, isFirst)
  }

  var count: Int { isFirst.count { $0 } }

  /// Writes the first slice of each run; to dense tensors, for each slice the index of its run, and how long each run is,
  /// but not to those that are empty.
  func write(values: Tensor, _ inverse: Tensor, counts: Tensor) throws {
    let starts = isFirst.indices.filter { isFirst[$0] }
    let (elements, targets) = (TensorLines(source, along: dimension), TensorLines(values, along: dimension))
    for line in targets.starts.indices {
      for (run, start) in starts.enumerated() {
        values.setElement(targets.place(line, run), to: source, elements.place(line, order[start]))
      }
    }
    var run = -1
    let indices = TensorLines(inverse, along: nil).starts
    for (place, index) in order.enumerated() where !indices.isEmpty {
      if isFirst[place] { run += 1 }
      inverse.setIndex(indices[index], to: run)
    }
    let ends = starts.dropFirst() + [order.count]
    for ((start, end), place) in zip(zip(starts, ends), TensorLines(counts, along: nil).starts) {
      counts.setIndex(place, to: end - start)
    }
  }
}

extension Tensor {
  /// The distinct elements, ascending; for each element, the index of its equal among them; how often each occurs.
  public func unique() throws -> (values: Tensor, inverse: Tensor, counts: Tensor) {
    let results = try OperatorLibrary.unique.several(.reference(self), .bool(true), .bool(true), .bool(true))
    return (results[0], results[1], results[2])
  }

  /// The first of every run of equal elements, or of equal slices along a dimension; for each, the index of its run; how long
  /// each run is.
  public func uniqueConsecutive(
    _ dimension: Int? = nil
  ) throws -> (values: Tensor, inverse: Tensor, counts: Tensor) {
    let results = try OperatorLibrary.uniqueConsecutive.several(
      .reference(self), .bool(true), .bool(true), dimension.map { Value($0) } ?? .none)
    return (results[0], results[1], results[2])
  }
}
