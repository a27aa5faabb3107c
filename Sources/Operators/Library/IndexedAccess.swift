import GraphIR
import LoopIR
import TensorCore

/// A tensor of indices that takes the place of a dimension, as a loop reads it.
struct IndexOperand {
  var indices: Operand
  /// Size and stride, in the indexed tensor, of the dimension it stands for.
  var size: Int
  var stride: Int
  /// Whether negative indices count from the end.
  var wraps = false

  /// The index that the loop's load of this number reads, as a term of an address.
  fileprivate func indirection(load: Int) -> LoopKernel.Indirection {
    let index = ScalarExpression.cast(.int64, .load(load))
    return .init(
      index: wraps ? LoopIR.select(index .< 0, index + .constant(.int(size)), index) : index, size: size, stride: stride
    )
  }
}

extension LoopBuilder {
  /// Reads `source`, whose indexed dimensions have stride 0, at the indices, for each index of `output`.
  mutating func gather(
    _ source: Operand, at indices: [IndexOperand], to output: Operand,
    _ body: (ScalarExpression, _ indices: [ScalarExpression]) -> ScalarExpression = { element, _ in element }
  ) {
    var loads = indices.map { $0.indices.broadcast(to: output.sizes).access }
    var access = source.broadcast(to: output.sizes).access
    access.indirections = indices.enumerated().map { $1.indirection(load: $0) }
    loads.append(access)
    let value = body(.load(indices.count), indices.indices.map { .load($0) })
    append(
      .loop(
        LoopKernel(
          outerSizes: output.sizes, loads: loads, stores: [.init(output.access, .cast(output.dtype, value))])))
  }

  /// Writes elements of `source` (or, without one, a number) to `target`, whose indexed dimensions have stride 0, at the
  /// indices, for each index of `target`'s sizes.
  mutating func scatter(
    _ source: ScatterSource, to target: Operand, at indices: [IndexOperand],
    mode: LoopKernel.Store.Mode = .assign,
    _ body: (ScalarExpression, _ indices: [ScalarExpression]) -> ScalarExpression = { element, _ in element }
  ) {
    var loads = indices.map { $0.indices.broadcast(to: target.sizes).access }
    let element: ScalarExpression
    switch source {
    case .number(let value): element = .constant(value)
    case .operand(let operand):
      loads.append(operand.broadcast(to: target.sizes).access)
      element = .load(indices.count)
    }
    var access = target.access
    access.indirections = indices.enumerated().map { $1.indirection(load: $0) }
    let value = body(element, indices.indices.map { .load($0) })
    append(
      .loop(
        LoopKernel(
          outerSizes: target.sizes, loads: loads,
          stores: [.init(access, .cast(target.dtype, value), mode: mode)])))
  }

  enum ScatterSource {
    case operand(Operand)
    case number(Scalar)
  }
}

extension Operand {
  /// A number as a vector of one element; others as they are. PyTorch indexes both alike.
  var asVector: Operand { sizes.isEmpty ? viewed(as: [1], strides: [1], offset: offset) : self }

  /// A vector laid along one dimension of larger sizes, the same in all others.
  func spread(along dimension: Int, of wanted: [Int]) -> Operand {
    viewed(as: wanted, strides: wanted.indices.map { $0 == dimension ? strides[0] : 0 }, offset: offset)
  }

  /// A buffer with the sizes of the tensor of indices into `dimension`, and stride 0 there: an address is the index's
  /// place, the dimension itself left to an indirection.
  ///
  /// - Precondition: Both have as many dimensions, at least one.
  func indexed(_ dimension: Int, by indices: Operand) -> (place: Operand, index: IndexOperand) {
    var place = self
    place.sizes = indices.sizes
    place.strides[dimension] = 0
    return (place, IndexOperand(indices: indices, size: sizes[dimension], stride: strides[dimension]))
  }
}

extension Call where Reference == Tensor {
  /// Refuses what cannot be an index.
  func checkIndex(_ position: Int, allows dtypes: [DType] = [.int64]) throws {
    let index = try tensor(position)
    guard dtypes.contains(index.dtype) else {
      throw OperatorError(
        .dtype, target.name,
        "argument '\(target.schema.parameters[position].name)' must be of dtype \(dtypes.map(\.description).joined(separator: " or ")), got \(index.dtype)"
      )
    }
  }

  /// The number of indices in the vector at position 2.
  func indexCount(allows dtypes: [DType]) throws -> SymInt {
    try checkIndex(2, allows: dtypes)
    let index = try tensor(2)
    guard index.rank <= 1 else {
      throw OperatorError(.shape, target.name, "'index' must be a vector, got sizes \(index.sizes)")
    }
    return index.layout.elementCount
  }

  /// Indices need as many dimensions as the tensor, and no more elements than it in any but the indexed one.
  func checkIndexShape(_ index: Tensor, within input: Tensor, along dimension: Int) throws {
    if index.layout.isEmpty { return }
    let fits =
      max(index.rank, 1) == max(input.rank, 1)
      && index.sizes.indices.allSatisfy { $0 == dimension || index.sizes[$0] <= input.sizes[$0] }
    guard fits else {
      throw OperatorError(
        .shape, target.name,
        "'index' of sizes \(index.sizes) must not exceed 'self' of sizes \(input.sizes) except in dimension \(dimension)"
      )
    }
  }
}
