import GraphIR
import TensorCore

// Views of a tensor in several pieces.
extension OperatorLibrary {
  static let splitViews = [
    split, splitSizes, splitWithSizes, chunk, tensorSplit, tensorSplitIndices, unbind,
    unsafeSplit, unsafeSplitWithSizes, unsafeChunk,
  ]

  /// Pieces of `split_size` along a dimension, the last one smaller if need be.
  public static let split = OperatorDefinition(
    "split.Tensor(Tensor(a -> *) self, SymInt split_size, int dim=0) -> Tensor(a)[]", .view(splitEvenly)
  )
  .viewInverse { call, source, mutated, index in
    try source.replacingPiece(
      index, by: mutated, sizes: call.pieceSizes(source.layout), along: call.splitDimension(source.layout))
  }
  .derivative { try $0.joinedGradients(along: $0.call.splitDimension($0.tensor("self").layout)) }
  .copyVariant()

  /// Pieces of the given sizes along a dimension.
  public static let splitWithSizes = OperatorDefinition(
    "split_with_sizes(Tensor(a -> *) self, SymInt[] split_sizes, int dim=0) -> Tensor(a)[]",
    .view(splitBySizes)
  )
  .viewInverse { call, source, mutated, index in
    try source.replacingPiece(index, by: mutated, sizes: call.symInts(1), along: call.splitDimension(source.layout))
  }
  .derivative { try $0.joinedGradients(along: $0.call.splitDimension($0.tensor("self").layout)) }
  .copyVariant()

  public static let splitSizes = OperatorDefinition(
    "split.sizes(Tensor(a -> *) self, SymInt[] split_size, int dim=0) -> Tensor(a)[]",
    .composite { try splitWithSizes.call($0.arguments) })

  /// At most `chunks` pieces of one size along a dimension, the last one smaller if need be.
  public static let chunk = OperatorDefinition(
    "chunk(Tensor(a -> *) self, int chunks, int dim=0) -> Tensor(a)[]",
    .composite { try chunked($0, by: split, bySizes: splitWithSizes) })

  // Pieces that nothing else refers to, so that they need not count as views.

  public static let unsafeSplit = OperatorDefinition(
    "unsafe_split.Tensor(Tensor self, SymInt split_size, int dim=0) -> Tensor[]", .view(splitEvenly)
  )
  .derivative { try $0.joinedGradients(along: $0.call.splitDimension($0.tensor("self").layout)) }

  public static let unsafeSplitWithSizes = OperatorDefinition(
    "unsafe_split_with_sizes(Tensor self, SymInt[] split_sizes, int dim=0) -> Tensor[]", .view(splitBySizes)
  )
  .derivative { try $0.joinedGradients(along: $0.call.splitDimension($0.tensor("self").layout)) }

  public static let unsafeChunk = OperatorDefinition(
    "unsafe_chunk(Tensor self, int chunks, int dim=0) -> Tensor[]",
    .composite { try chunked($0, by: unsafeSplit, bySizes: unsafeSplitWithSizes) })

  private static let splitEvenly: OperatorDefinition.ViewRule = { call in
    let layout = try call.tensor(0).layout
    return try layout.pieces(call.pieceSizes(layout), along: call.splitDimension(layout))
  }

  private static let splitBySizes: OperatorDefinition.ViewRule = { call in
    let layout = try call.tensor(0).layout
    let dimension = try call.splitDimension(layout)
    let sizes = try call.symInts(1)
    guard !sizes.contains(where: { $0 < 0 }), sizes.reduce(0, +) == layout.sizes[dimension] else {
      throw OperatorError(
        .argument, call.target.name,
        "split_sizes \(sizes) must add up to \(layout.sizes[dimension]), the size of dimension \(dimension)")
    }
    return layout.pieces(sizes, along: dimension)
  }

  private static func chunked(
    _ call: OperatorCall, by split: OperatorDefinition, bySizes splitWithSizes: OperatorDefinition
  ) throws -> Value {
    let input = try call.tensor(0)
    let dimension = try call.splitDimension(input.layout)
    let count = try call.int(1)
    guard count > 0 else {
      throw OperatorError(.argument, call.target.name, "argument 'chunks' must be positive, got \(count)")
    }
    let size = input.shape[dimension]
    // Of nothing, as many empty pieces as were asked for.
    if size == 0 {
      return try splitWithSizes.call([
        call.arguments[0], Value([Int](repeating: 0, count: count)), Value(dimension),
      ])
    }
    return try split.call([call.arguments[0], Value((size - 1) / count + 1), Value(dimension)])
  }

  /// `sections` pieces along a dimension, whose sizes differ by at most one.
  public static let tensorSplit = OperatorDefinition(
    "tensor_split.sections(Tensor(a -> *) self, SymInt sections, int dim=0) -> Tensor(a)[]",
    .composite { call in
      let input = try call.tensor(0)
      let dimension = try call.splitDimension(input.layout)
      let (count, size) = (try call.int(1), input.shape[dimension])
      guard count > 0 else {
        throw OperatorError(.argument, call.target.name, "argument 'sections' must be positive, got \(count)")
      }
      var start = 0
      return .list(
        try (0..<count).map { index in
          let end = start + size / count + (index < size % count ? 1 : 0)
          defer { start = end }
          return .reference(try input.slice(dimension, from: start, to: end))
        })
    })

  /// The pieces along a dimension between the given indices.
  public static let tensorSplitIndices = OperatorDefinition(
    "tensor_split.indices(Tensor(a -> *) self, SymInt[] indices, int dim=0) -> Tensor(a)[]",
    .composite { call in
      let input = try call.tensor(0)
      let dimension = try call.splitDimension(input.layout)
      let ends = try call.ints(1).map { Int?($0) } + [nil]
      var start = 0
      return .list(
        try ends.map { end in
          defer { start = end ?? start }
          return .reference(try input.slice(dimension, from: start, to: end))
        })
    })

  /// The part at each index of a dimension, which goes away.
  public static let unbind = OperatorDefinition(
    "unbind.int(Tensor(a -> *) self, int dim=0) -> Tensor(a)[]",
    .view { call in
      let layout = try call.tensor(0).layout
      let dimension = try call.splitDimension(layout, at: 1)
      return (0..<layout.sizes[dimension].value).map { index in
        var piece = layout
        piece.offset += SymInt(index) * layout.strides[dimension]
        piece.sizes.remove(at: dimension)
        piece.strides.remove(at: dimension)
        return piece
      }
    }
  )
  .viewInverse { call, source, mutated, index in try source.selectScatter(mutated, call.int(1), index) }
  .derivative { d in
    // Of a dimension of size 0 there were no pieces.
    let sizes = try d.sizes("self")
    let dimension = try d.call.splitDimension(Layout(contiguous: sizes), at: 1)
    let pieces = try d.gradientsOrZeros()
    return pieces.isEmpty ? nil : try Tensor.stack(pieces, dimension: dimension)
  }
  .copyVariant()
}

extension Call {
  /// The dimension to split along, at a position.
  fileprivate func splitDimension(_ layout: Layout, at position: Int = 2) throws -> Int {
    guard layout.rank > 0 else {
      throw OperatorError(.shape, target.name, "a tensor without dimensions cannot be split")
    }
    return try dimension(position, rank: layout.rank)
  }

  /// Sizes of the pieces of `split`, argument 1 each.
  fileprivate func pieceSizes(_ layout: Layout) throws -> [SymInt] {
    let dimension = try splitDimension(layout)
    let (piece, size) = (try int(1), layout.sizes[dimension].value)
    guard piece > 0 || (piece == 0 && size == 0) else {
      throw OperatorError(
        .argument, target.name, "argument 'split_size' must be positive for a dimension of size \(size), got \(piece)")
    }
    if size == 0 { return [0] }
    return stride(from: 0, to: size, by: piece).map { SymInt(min(piece, size - $0)) }
  }
}

extension Layout {
  fileprivate func pieces(_ pieceSizes: [SymInt], along dimension: Int) -> [Layout] {
    var start: SymInt = 0
    return pieceSizes.map { size in
      var piece = self
      piece.offset += start * strides[dimension]
      piece.sizes[dimension] = size
      start += size
      return piece
    }
  }
}

extension Tensor {
  fileprivate func replacingPiece(
    _ index: Int, by piece: Tensor, sizes: [SymInt], along dimension: Int
  ) throws -> Tensor {
    let start = sizes[..<index].reduce(0, +).value
    return try sliceScatter(piece, dimension, from: start, to: start + sizes[index].value)
  }

  /// Pieces of `size` along a dimension, the last one smaller if need be.
  public func split(_ size: Int, dimension: Int = 0) throws -> [Tensor] {
    try OperatorLibrary.split.several(.reference(self), Value(size), Value(dimension))
  }

  /// Pieces of the given sizes along a dimension.
  public func split(sizes: [Int], dimension: Int = 0) throws -> [Tensor] {
    try OperatorLibrary.splitWithSizes.several(.reference(self), Value(sizes), Value(dimension))
  }

  /// At most `count` pieces of one size along a dimension, the last one smaller if need be.
  public func chunk(_ count: Int, dimension: Int = 0) throws -> [Tensor] {
    try OperatorLibrary.chunk.several(.reference(self), Value(count), Value(dimension))
  }

  /// The part at each index of a dimension, which goes away.
  public func unbind(_ dimension: Int = 0) throws -> [Tensor] {
    try OperatorLibrary.unbind.several(.reference(self), Value(dimension))
  }
}

extension DerivativeContext {
  /// A gradient per result: zeros where none arrived.
  fileprivate func gradientsOrZeros() throws -> [Tensor] {
    try zip(results, gradients).map { result, gradient in try gradient ?? self.gradient.newZeros(result.sizes) }
  }

  fileprivate func joinedGradients(along dimension: Int) throws -> Tensor {
    try Tensor.cat(gradientsOrZeros(), dimension: dimension)
  }
}
