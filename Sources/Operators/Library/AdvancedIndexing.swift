import GraphIR
import LoopIR
import TensorCore

// Indexing by several tensors of indices at once, and by conditions.
extension OperatorLibrary {
  static let advancedIndexing = [index, indexPut, nonzero, argwhere, whereCondition, maskedSelect]

  /// The elements where each dimension's index is that of a tensor of indices, which broadcast together; none takes a
  /// dimension whole. Negative indices count from the end. The indices' dimensions stand where the indexed ones stood if
  /// those are neighbours, else in front. A condition (bool) stands for the indices at which it holds.
  public static let index: OperatorDefinition = OperatorDefinition(
    "index.Tensor(Tensor self, Tensor?[] indices) -> Tensor", traits: .checksElements,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        let sizes = try call.advancedIndex(\.shape).resultSizes
        return [TensorMeta(dtype: input.dtype, sizes: [SymInt](sizes), device: input.device)]
      },
      lowering: { call, results, builder in
        let (place, indices) = try call.advancedIndex(\.sizes).applied(to: call.reference(0))
        builder.gather(place, at: indices, to: results[0])
      })
  )
  .rewritingArguments { try $0.withoutConditions() }
  .derivative(of: "self", saving: ["indices"]) { d -> Tensor? in
    let zeros = try d.gradient.newZeros(d.sizes("self"))
    return try indexPut(.reference(zeros), d["indices"], .reference(d.gradient), .bool(true))
  }

  /// A copy of `self` in which `values`, broadcast, take the place of, or are added to, what `index` would read.
  public static let indexPut: OperatorDefinition = OperatorDefinition(
    "index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor",
    traits: .checksElements,
    .kernel(
      shape: { call in
        let (input, values) = (try call.tensor(0), try call.tensor(2))
        let sizes = [SymInt](try call.advancedIndex(\.shape).resultSizes)
        guard values.dtype == input.dtype else {
          throw OperatorError(
            .dtype, call.target.name, "'values' must have the dtype \(input.dtype) of 'self', got \(values.dtype)")
        }
        guard try call.target.broadcast([values.sizes, sizes]) == sizes else {
          throw OperatorError(
            .shape, call.target.name, "'values' of sizes \(values.sizes) do not broadcast to the indexed \(sizes)")
        }
        return [TensorMeta(dtype: input.dtype, layout: input.layout.copied(), device: input.device)]
      },
      lowering: { call, results, builder in
        let adds = try call.bool(3)
        try builder.update(results[0], from: call.reference(0), sums: adds) { result, builder in
          let (place, indices) = try call.advancedIndex(\.sizes).applied(to: result)
          builder.scatter(
            .operand(try call.reference(2)), to: place, at: indices, mode: adds ? .accumulate : .assign)
        }
      })
  )
  .rewritingArguments { try $0.withoutConditions() }
  .derivative(of: "self", saving: ["indices"]) { d -> Tensor? in
    if try d.call.bool(3) { return d.gradient }
    return try indexPut(.reference(d.gradient), d["indices"], .reference(d.gradient.newZeros([Int]())))
  }
  .derivative(of: "values", saving: ["indices"]) { d in
    try index(.reference(d.gradient), d["indices"]).summed(to: d.sizes("values"))
  }
  .inPlaceVariant()

  /// The indices of the elements that are not zero, one row each.
  public static let nonzero = OperatorDefinition(
    "nonzero(Tensor self) -> Tensor", traits: .dataDependent,
    .host(
      shape: { call in
        let input = try call.tensor(0)
        let count = try call.flags().count { $0 }
        // One index after the other, as `where` takes it apart.
        let layout = Layout(sizes: [SymInt(count), SymInt(input.rank)], strides: [1, SymInt(Swift.max(count, 1))])
        return [TensorMeta(dtype: .int64, layout: layout, device: input.device)]
      },
      body: { call, results in
        let sizes = try call.tensor(0).shape
        guard let address = results[0].dataAddress?.assumingMemoryBound(to: Int.self) else { return }
        let strides = results[0].strides.values
        for (row, place) in try call.flags().enumerated().filter(\.element).map(\.offset).enumerated() {
          var rest = place
          for dimension in sizes.indices.reversed() {
            address[row * strides[0] + dimension * strides[1]] = rest % sizes[dimension]
            rest /= sizes[dimension]
          }
        }
      })
  )
  .notDifferentiable()

  public static let argwhere = OperatorDefinition(
    "argwhere(Tensor self) -> Tensor", traits: .dataDependent, .composite { try nonzero.call($0.arguments) })

  /// The indices of the elements that are not zero, one vector per dimension; a number counts as a vector.
  public static let whereCondition = OperatorDefinition(
    "where(Tensor condition) -> Tensor[]", traits: .dataDependent,
    .composite { call in
      let condition = try call.tensor(0)
      let places = try (condition.rank == 0 ? condition.reshape([1]) : condition).nonzero()
      return .list(try places.unbind(1).map { .reference($0) })
    })

  /// The elements where a condition holds, in one dimension; tensor and condition broadcast.
  public static let maskedSelect = OperatorDefinition(
    "masked_select(Tensor self, Tensor mask) -> Tensor", traits: .dataDependent,
    .composite { call in
      let (input, mask) = (try call.tensor(0), try call.tensor(1))
      guard mask.dtype == .bool else {
        throw OperatorError(.dtype, call.target.name, "'mask' must be bool, got \(mask.dtype)")
      }
      let sizes = try call.target.broadcast([input.sizes, mask.sizes])
      let places = try nonzero(.reference(mask.expand(sizes).reshape([-1]))).squeeze(1)
      return .reference(try input.expand(sizes).reshape([-1]).indexSelect(0, places))
    })
}

/// How tensors of indices (argument 1) stand for dimensions of a tensor (argument 0).
private struct AdvancedIndex<Reference> {
  /// The tensors of indices and the dimensions that they stand for.
  let indices: [(dimension: Int, tensor: Reference)]
  let sizes: [Int]
  let indexSizes: [Int]

  /// Where the indices' dimensions come in the result, and the input's dimensions before and after them.
  var order: (before: [Int], after: [Int]) {
    let indexed = indices.map(\.dimension)
    let others = sizes.indices.filter { !indexed.contains($0) }
    guard let first = indexed.first, let last = indexed.last, last - first == indexed.count - 1 else {
      return ([], others)
    }
    return (others.filter { $0 < first }, others.filter { $0 > last })
  }

  var resultSizes: [Int] {
    let (before, after) = order
    return before.map { sizes[$0] } + indexSizes + after.map { sizes[$0] }
  }
}

extension AdvancedIndex where Reference == Operand {
  func applied(to input: Operand) -> (place: Operand, indices: [IndexOperand]) {
    let (before, after) = order
    let wanted = resultSizes
    let place = input.viewed(
      as: wanted,
      strides: before.map { input.strides[$0] } + indexSizes.map { _ in 0 } + after.map { input.strides[$0] },
      offset: input.offset)
    let operands = indices.map { dimension, tensor in
      let wide = tensor.broadcast(to: indexSizes)
      let spread = wide.viewed(
        as: wanted, strides: before.map { _ in 0 } + wide.strides + after.map { _ in 0 }, offset: wide.offset)
      return IndexOperand(
        indices: spread, size: input.sizes[dimension], stride: input.strides[dimension], wraps: true)
    }
    return (place, operands)
  }
}

extension Call {
  fileprivate func advancedIndex(_ sizes: (Reference) -> [Int]) throws -> AdvancedIndex<Reference> {
    guard let elements = arguments[1].elements else { throw mismatch(1, "a list of tensors") }
    let inputSizes = sizes(try reference(0))
    let indices = try elements.enumerated().compactMap { dimension, element in
      if element.isNone { return nil as (dimension: Int, tensor: Reference)? }
      guard let tensor = element.reference else { throw mismatch(1, "a list of tensors or none") }
      return (dimension, tensor)
    }
    guard elements.count <= inputSizes.count, !indices.isEmpty else {
      throw OperatorError(
        .index, target.name,
        "needs 1 to \(inputSizes.count) tensors of indices for sizes \(inputSizes), got \(elements.count)"
      )
    }
    for (_, tensor) in indices {
      let dtype = (tensor as? Tensor)?.dtype ?? .int64
      guard dtype == .int64 || dtype == .int32 else {
        throw OperatorError(
          .dtype, target.name, "indices must be int64, int32 or bool, got \(dtype)")
      }
    }
    let common = try target.broadcast(indices.map { [SymInt](sizes($0.tensor)) })
    return AdvancedIndex(indices: indices, sizes: inputSizes, indexSizes: common.values)
  }
}

extension Call where Reference == Tensor {
  /// The arguments with each condition among the indices replaced by the indices at which it holds, one per dimension.
  fileprivate func withoutConditions() throws -> [Value] {
    guard let elements = arguments[1].elements,
      elements.contains(where: { $0.reference?.dtype == .bool || $0.reference?.dtype == .uint8 })
    else { return arguments }
    var result = arguments
    var dimension = 0
    let sizes = try tensor(0).sizes
    result[1] = .list(
      try elements.flatMap { element -> [Value] in
        guard let mask = element.reference, mask.dtype == .bool || mask.dtype == .uint8 else {
          dimension += 1
          return [element]
        }
        let covered = sizes.dropFirst(dimension).prefix(mask.rank)
        guard mask.rank > 0, Array(covered) == mask.sizes else {
          throw OperatorError(
            .index, target.name,
            "a condition of sizes \(mask.sizes) does not fit sizes \(sizes) at dimension \(dimension)")
        }
        dimension += mask.rank
        return try mask.nonzero().unbind(1).map { .reference($0) }
      })
    return result
  }

  /// Whether each element is other than zero, in row-major order.
  ///
  /// - Throws: `OperatorError` with code `dataDependent` while a function is captured.
  fileprivate func flags() throws -> [Bool] {
    let input = try tensor(0)
    try refuseUnknownElements(of: input, instead: "use 'where' or 'masked_fill', which keep the shape")
    let flags = try Tensor(uninitialized: Layout(contiguous: input.sizes), dtype: .bool)
    try EagerKernels.copy(input, to: flags)
    return try flags.elements()
  }
}

extension Tensor {
  /// The elements where each dimension's index is that of a tensor of indices; nil takes a dimension whole. Of conditions
  /// (bool), the indices of the elements that hold.
  public func index(_ indices: [Tensor?]) throws -> Tensor {
    try OperatorLibrary.index(.reference(self), Self.value(indices))
  }

  /// A copy in which `values` take the place of, or are added to, what `index` would read.
  public func indexPut(_ indices: [Tensor?], _ values: Tensor, accumulate: Bool = false) throws -> Tensor {
    try OperatorLibrary.indexPut(.reference(self), Self.value(indices), .reference(values), .bool(accumulate))
  }

  @discardableResult
  public func indexPut_(_ indices: [Tensor?], _ values: Tensor, accumulate: Bool = false) throws -> Tensor {
    try OperatorLibrary.indexPut.inPlace(
      .reference(self), Self.value(indices), .reference(values), .bool(accumulate))
  }

  private static func value(_ indices: [Tensor?]) -> Value {
    .list(indices.map { $0.map { .reference($0) } ?? .none })
  }

  /// The indices of the elements that are not zero, one row each.
  public func nonzero() throws -> Tensor { try OperatorLibrary.nonzero(.reference(self)) }

  /// The elements where a condition holds, in one dimension.
  public func maskedSelect(_ mask: Tensor) throws -> Tensor {
    try OperatorLibrary.maskedSelect(.reference(self), .reference(mask))
  }
}
