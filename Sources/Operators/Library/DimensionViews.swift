import GraphIR
import TensorCore

// Views that reorder, add, drop or stretch dimensions.
extension OperatorLibrary {
  static let dimensionViews = [
    permute, transpose, t, swapAxes, numpyT, moveDimension, moveDimensions,
    squeeze, squeezeDimension, squeezeDimensions, unsqueeze, expand, expandAs, broadcastTo, sumToSize,
  ]

  /// The dimensions in another order.
  public static let permute = OperatorDefinition(
    "permute(Tensor(a) self, int[] dims) -> Tensor(a)",
    .view { call in
      let input = try call.tensor(0)
      let order = try call.permutation(rank: input.rank)
      return [
        Layout(
          sizes: order.map { input.sizes[$0] }, strides: order.map { input.strides[$0] }, offset: input.layout.offset)
      ]
    }
  )
  .viewInverse { call, source, mutated, _ in
    try mutated.permute(inverse(ofPermutation: call.permutation(rank: source.rank)))
  }
  .derivative { d in
    try d.gradient.permute(inverse(ofPermutation: d.call.permutation(rank: d.gradient.rank)))
  }
  .copyVariant()

  private static func inverse(ofPermutation order: [Int]) -> [Int] {
    var result = order
    for (place, dimension) in order.enumerated() { result[dimension] = place }
    return result
  }

  /// Two dimensions exchanged.
  public static let transpose = OperatorDefinition(
    "transpose.int(Tensor(a) self, int dim0, int dim1) -> Tensor(a)",
    .view { call in
      let input = try call.tensor(0)
      let (first, second) = (try call.dimension(1, rank: input.rank), try call.dimension(2, rank: input.rank))
      var layout = input.layout
      if first != second {
        layout.sizes.swapAt(first, second)
        layout.strides.swapAt(first, second)
      }
      return [layout]
    }
  )
  .decomposition { call in
    let input = try call.tensor(0)
    var order = Array(0..<input.rank)
    if input.rank > 0 {
      order.swapAt(try call.dimension(1, rank: input.rank), try call.dimension(2, rank: input.rank))
    }
    return .reference(try input.permute(order))
  }
  .viewInverse { call, _, mutated, _ in try mutated.transpose(call.int(1), call.int(2)) }
  .derivative { try $0.gradient.transpose($0.call.int(1), $0.call.int(2)) }
  .inPlaceVariant(overload: "default")
  .copyVariant()

  /// A matrix with its two dimensions exchanged; vectors and numbers as they are.
  public static let t = OperatorDefinition(
    "t(Tensor(a) self) -> Tensor(a)",
    .view { call in
      let input = try call.tensor(0)
      guard input.rank <= 2 else {
        throw OperatorError(
          .shape, call.target.name, "needs at most 2 dimensions, got sizes \(input.sizes); use transpose")
      }
      var layout = input.layout
      layout.sizes.reverse()
      layout.strides.reverse()
      return [layout]
    }
  )
  .decomposition { .reference(try $0.tensor(0).permute((0..<$0.tensor(0).rank).reversed())) }
  .viewInverse { _, _, mutated, _ in try mutated.t() }
  .derivative { try $0.gradient.t() }
  .inPlaceVariant()
  .copyVariant()

  public static let swapAxes = OperatorDefinition(
    "swapaxes(Tensor(a) self, int axis0, int axis1) -> Tensor(a)",
    .composite { .reference(try $0.tensor(0).transpose($0.int(1), $0.int(2))) })

  /// All dimensions in reverse order.
  public static let numpyT = OperatorDefinition(
    "numpy_T(Tensor(a) self) -> Tensor(a)",
    .composite { call in
      let input = try call.tensor(0)
      return .reference(try input.permute((0..<input.rank).reversed()))
    })

  public static let moveDimension = OperatorDefinition(
    "movedim.int(Tensor(a) self, int source, int destination) -> Tensor(a)", .composite(moved))

  /// Dimensions moved to other places; the others keep their order.
  public static let moveDimensions = OperatorDefinition(
    "movedim.intlist(Tensor(a) self, int[] source, int[] destination) -> Tensor(a)", .composite(moved))

  private static let moved: @Sendable (OperatorCall) throws -> Value = { call in
    let input = try call.tensor(0)
    let sources = try call.distinctDimensions(1, rank: input.rank)
    let destinations = try call.distinctDimensions(2, rank: input.rank)
    guard sources.count == destinations.count else {
      throw OperatorError(
        .argument, call.target.name, "got \(sources.count) source and \(destinations.count) destination dimensions")
    }
    if input.rank == 0 { return .reference(try input.alias()) }
    var rest = (0..<input.rank).filter { !sources.contains($0) }.makeIterator()
    let order = (0..<input.rank).compactMap { place in
      destinations.firstIndex(of: place).map { sources[$0] } ?? rest.next()
    }
    return .reference(try input.permute(order))
  }

  /// Without the dimensions of size 1.
  public static let squeeze = OperatorDefinition(
    "squeeze(Tensor(a) self) -> Tensor(a)",
    .view { call in
      let input = try call.tensor(0)
      return [input.layout.squeezed(Array(0..<input.rank))]
    }
  )
  .decomposition { .reference(try $0.tensor(0).squeeze(Array(0..<$0.tensor(0).rank))) }
  .viewInverse { _, source, mutated, _ in try mutated.reshape(source.sizes) }
  .derivative { try $0.gradient.reshape($0.sizes("self")) }
  .inPlaceVariant()
  .copyVariant()

  /// Without a dimension, where its size is 1.
  public static let squeezeDimension = OperatorDefinition(
    "squeeze.dim(Tensor(a) self, int dim) -> Tensor(a)",
    .view { call in
      let input = try call.tensor(0)
      return [input.layout.squeezed([try call.dimension(1, rank: input.rank)])]
    }
  )
  .decomposition { .reference(try $0.tensor(0).squeeze([$0.int(1)])) }
  .viewInverse { _, source, mutated, _ in try mutated.reshape(source.sizes) }
  .derivative { try $0.gradient.reshape($0.sizes("self")) }
  .inPlaceVariant()
  .copyVariant()

  /// Without those of some dimensions whose size is 1.
  public static let squeezeDimensions = OperatorDefinition(
    "squeeze.dims(Tensor(a) self, int[] dim) -> Tensor(a)",
    .view { call in
      let input = try call.tensor(0)
      return [input.layout.squeezed(try call.distinctDimensions(1, rank: input.rank))]
    }
  )
  .viewInverse { _, source, mutated, _ in try mutated.reshape(source.sizes) }
  .derivative { try $0.gradient.reshape($0.sizes("self")) }
  .inPlaceVariant()
  .copyVariant()

  /// A new dimension of size 1.
  public static let unsqueeze = OperatorDefinition(
    "unsqueeze(Tensor(a) self, int dim) -> Tensor(a)",
    .view { call in
      let input = try call.tensor(0)
      let dimension = try call.dimension(1, rank: input.rank + 1)
      var layout = input.layout
      let stride = dimension < input.rank ? input.sizes[dimension] * input.strides[dimension] : 1
      layout.sizes.insert(1, at: dimension)
      layout.strides.insert(stride, at: dimension)
      return [layout]
    }
  )
  .viewInverse { call, _, mutated, _ in try mutated.squeeze(call.int(1)) }
  .derivative { try $0.gradient.squeeze($0.call.int(1)) }
  .inPlaceVariant()
  .copyVariant()

  /// Dimensions of size 1 stretched, and new ones added in front, by a stride of 0; -1 keeps a size.
  public static let expand = OperatorDefinition(
    "expand(Tensor(a) self, SymInt[] size, *, bool implicit=False) -> Tensor(a)",
    .view { call in
      let input = try call.tensor(0)
      let wanted = try call.symInts(1)
      let added = wanted.count - input.rank
      guard added >= 0 else {
        throw OperatorError(.shape, call.target.name, "sizes \(wanted) are fewer than the tensor's \(input.sizes)")
      }
      var layout = Layout(sizes: wanted, strides: wanted.map { _ in 0 }, offset: input.layout.offset)
      for dimension in wanted.indices {
        if dimension >= added {
          try call.stretch(&layout, dimension, from: input.layout, dimension - added)
        } else if wanted[dimension] < 0 {
          throw OperatorError(
            .shape, call.target.name, "size \(wanted[dimension]) is not allowed in the new dimension \(dimension)")
        }
      }
      _ = try layout.requiredByteCount(input.dtype)
      return [layout]
    }
  )
  .viewInverse { call, source, mutated, _ in
    if mutated.layout.isEmpty { return try source.clone() }
    guard mutated.layout.elementCount == source.layout.elementCount else {
      throw OperatorError(
        .overlap, call.target.name,
        "a write through sizes \(source.sizes) expanded to \(mutated.sizes) has no single meaning; clone before writing"
      )
    }
    return try mutated.reshape(source.sizes)
  }
  .derivative { try $0.gradient.summed(to: $0.sizes("self")) }
  .copyVariant()

  public static let expandAs = OperatorDefinition(
    "expand_as(Tensor(a) self, Tensor other) -> Tensor(a)",
    .composite { .reference(try $0.tensor(0).expand($0.tensor(1).sizes)) })

  public static let broadcastTo = OperatorDefinition(
    "broadcast_to(Tensor(a) self, SymInt[] size) -> Tensor(a)",
    .composite { .reference(try $0.tensor(0).expand($0.symInts(1))) })

  /// The sums over the dimensions that expanding from smaller sizes would add or stretch.
  public static let sumToSize = OperatorDefinition(
    "sum_to_size(Tensor self, SymInt[] size) -> Tensor",
    .composite { call in
      let (input, sizes) = (try call.tensor(0), try call.symInts(1))
      guard !sizes.contains(where: { $0 < 0 }), try call.target.broadcast([sizes, input.sizes]) == input.sizes else {
        throw OperatorError(
          .shape, call.target.name, "sizes \(sizes) do not expand to the sizes \(input.sizes) that are to be summed")
      }
      return .reference(try input.summed(to: sizes))
    })
}

extension Call where Reference == Tensor {
  /// One dimension of an expanded layout, whose size so far is the wanted one.
  fileprivate func stretch(
    _ layout: inout Layout, _ dimension: Int, from source: Layout, _ sourceDimension: Int
  ) throws {
    let (size, wanted) = (source.sizes[sourceDimension], layout.sizes[dimension])
    if wanted == -1 || wanted == size {
      layout.sizes[dimension] = size
      layout.strides[dimension] = source.strides[sourceDimension]
    } else if size != 1 || wanted < 0 {
      throw OperatorError(
        .shape, target.name, "size \(size) at dimension \(sourceDimension) cannot be expanded to \(wanted)")
    }
  }
}

extension Call {
  /// The dimensions at a position, from the start, none named twice.
  func distinctDimensions(_ position: Int, rank: Int) throws -> [Int] {
    let parameter = target.schema.parameters[position].name
    let dimensions = try ints(position).map { try target.normalizedDimension($0, rank: rank, parameter: parameter) }
    guard Set(dimensions).count == dimensions.count else {
      throw OperatorError(.argument, target.name, "argument '\(parameter)' names a dimension twice: \(dimensions)")
    }
    return dimensions
  }

  /// Argument 1 as an order of all dimensions.
  fileprivate func permutation(rank: Int) throws -> [Int] {
    let order = try distinctDimensions(1, rank: rank)
    guard order.count == rank else {
      throw OperatorError(.argument, target.name, "argument 'dims' must name all \(rank) dimensions, got \(order)")
    }
    return order
  }
}

extension Layout {
  fileprivate func squeezed(_ dimensions: [Int]) -> Layout {
    let kept = sizes.indices.filter { sizes[$0] != 1 || !dimensions.contains($0) }
    return Layout(sizes: kept.map { sizes[$0] }, strides: kept.map { strides[$0] }, offset: offset)
  }
}

extension Tensor {
  /// The dimensions in another order.
  public func permute(_ order: [Int]) throws -> Tensor { try OperatorLibrary.permute(.reference(self), Value(order)) }

  public func transpose(_ first: Int, _ second: Int) throws -> Tensor {
    try OperatorLibrary.transpose(.reference(self), Value(first), Value(second))
  }

  @discardableResult
  public func transpose_(_ first: Int, _ second: Int) throws -> Tensor {
    try OperatorLibrary.transpose.inPlace(.reference(self), Value(first), Value(second))
  }

  /// A matrix with its two dimensions exchanged.
  public func t() throws -> Tensor { try OperatorLibrary.t(.reference(self)) }

  @discardableResult
  public func t_() throws -> Tensor { try OperatorLibrary.t.inPlace(.reference(self)) }

  /// The dimension `source` moved to `destination`.
  public func moveDimension(_ source: Int, to destination: Int) throws -> Tensor {
    try OperatorLibrary.moveDimension(.reference(self), Value(source), Value(destination))
  }

  /// Without the dimensions of size 1.
  public func squeeze() throws -> Tensor { try OperatorLibrary.squeeze(.reference(self)) }

  /// Without a dimension, where its size is 1.
  public func squeeze(_ dimension: Int) throws -> Tensor {
    try OperatorLibrary.squeezeDimension(.reference(self), Value(dimension))
  }

  public func squeeze(_ dimensions: [Int]) throws -> Tensor {
    try OperatorLibrary.squeezeDimensions(.reference(self), Value(dimensions))
  }

  @discardableResult
  public func squeeze_() throws -> Tensor { try OperatorLibrary.squeeze.inPlace(.reference(self)) }

  @discardableResult
  public func squeeze_(_ dimension: Int) throws -> Tensor {
    try OperatorLibrary.squeezeDimension.inPlace(.reference(self), Value(dimension))
  }

  /// A new dimension of size 1.
  public func unsqueeze(_ dimension: Int) throws -> Tensor {
    try OperatorLibrary.unsqueeze(.reference(self), Value(dimension))
  }

  @discardableResult
  public func unsqueeze_(_ dimension: Int) throws -> Tensor {
    try OperatorLibrary.unsqueeze.inPlace(.reference(self), Value(dimension))
  }

  /// Dimensions of size 1 stretched, and new ones added in front; -1 keeps a size.
  public func expand(_ sizes: [SymInt]) throws -> Tensor { try OperatorLibrary.expand(.reference(self), Value(sizes)) }
  public func expand(_ sizes: [Int]) throws -> Tensor { try expand([SymInt](sizes)) }
  public func expand(as other: Tensor) throws -> Tensor { try expand(other.sizes) }
}
