import GraphIR
import LoopIR
import TensorCore

// Reading along one dimension at places that a tensor of indices names.
extension OperatorLibrary {
  static let indexing = [gather, indexSelect, takeAlongDim]

  /// result[i][j] = self[index[i][j]][j] along dimension 0, and so on for others.
  public static let gather: OperatorDefinition = OperatorDefinition(
    "gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor", traits: .checksElements,
    .kernel(
      shape: { call in
        let (input, index) = (try call.tensor(0), try call.tensor(2))
        let dimension = try call.dimension(1, rank: input.rank)
        try call.checkIndex(2, allows: [.int64, .int32])
        try call.checkIndexShape(index, within: input, along: dimension)
        return [TensorMeta(dtype: input.dtype, sizes: index.sizes, device: input.device)]
      },
      lowering: { call, results, builder in
        let (input, indices) = (try call.reference(0), try call.reference(2))
        if indices.elementCount == 0 { return }
        let dimension = try call.dimension(1, rank: input.sizes.count)
        let (place, index) = input.asVector.indexed(dimension, by: indices.asVector)
        builder.gather(place, at: [index], to: results[0].asVector)
      })
  )
  .derivative(of: "self", saving: ["index"]) { d in
    let zeros = try d.gradient.newZeros(d.sizes("self"))
    return try scatterAdd(.reference(zeros), d["dim"], d["index"], .reference(d.gradient))
  }

  /// The slices along a dimension that a vector of indices names.
  public static let indexSelect: OperatorDefinition = OperatorDefinition(
    "index_select(Tensor self, int dim, Tensor index) -> Tensor", traits: .checksElements,
    .kernel(
      shape: { call in
        let (input, count) = (try call.tensor(0), try call.indexCount(allows: [.int64, .int32]))
        var sizes = input.sizes
        let dimension = try call.dimension(1, rank: input.rank)
        if input.rank > 0 { sizes[dimension] = count }
        guard input.rank > 0 || count == 1 else {
          throw OperatorError(
            .shape, call.target.name, "a tensor without dimensions takes one index, got \(count)")
        }
        return [TensorMeta(dtype: input.dtype, sizes: sizes, device: input.device)]
      },
      lowering: { call, results, builder in
        let (input, result) = (try call.reference(0).asVector, results[0].asVector)
        let dimension = try call.dimension(1, rank: input.sizes.count)
        let indices = try call.reference(2).asVector.spread(along: dimension, of: result.sizes)
        let (place, index) = input.indexed(dimension, by: indices)
        builder.gather(place, at: [index], to: result)
      })
  )
  .derivative(of: "self", saving: ["index"]) { d in
    let zeros = try d.gradient.newZeros(d.sizes("self"))
    return try indexAdd(.reference(zeros), d["dim"], d["index"], .reference(d.gradient))
  }

  /// `gather` with the other dimensions of tensor and indices broadcast; without `dim`, of the flattened tensor.
  public static let takeAlongDim = OperatorDefinition(
    "take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor",
    .composite { call in
      let (input, index) = (try call.tensor(0), try call.tensor(1))
      try call.checkIndex(1)
      guard let dimension = try call.optionalInt(2) else {
        return .reference(try gather(.reference(input.reshape([-1])), .int(0), .reference(index.reshape([-1]))))
      }
      guard input.rank == index.rank else {
        throw OperatorError(
          .shape, call.target.name,
          "'self' and 'indices' must have as many dimensions, got \(input.sizes) and \(index.sizes)"
        )
      }
      let place = try call.target.normalizedDimension(dimension, rank: input.rank)
      var (inputSizes, indexSizes) = (input.sizes, index.sizes)
      if input.rank > 0 { (inputSizes[place], indexSizes[place]) = (1, 1) }
      var common = try call.target.broadcast([inputSizes, indexSizes])
      if input.rank > 0 { common[place] = input.sizes[place] }
      let wide = try input.expand(common)
      if input.rank > 0 { common[place] = index.sizes[place] }
      // Indices count around the end, any number of times.
      let size = input.rank > 0 ? input.shape[place] : 1
      return .reference(try gather(.reference(wide), Value(place), .reference(index.expand(common).remainder(size))))
    })
}

extension Tensor {
  /// result[i][j] = self[index[i][j]][j] along dimension 0, and so on for others.
  public func gather(_ dimension: Int, _ index: Tensor) throws -> Tensor {
    try OperatorLibrary.gather(.reference(self), Value(dimension), .reference(index))
  }

  /// The slices along a dimension that a vector of indices names.
  public func indexSelect(_ dimension: Int, _ index: Tensor) throws -> Tensor {
    try OperatorLibrary.indexSelect(.reference(self), Value(dimension), .reference(index))
  }

  /// The elements along a dimension that indices name, other dimensions broadcast.
  public func takeAlong(_ dimension: Int, _ indices: Tensor) throws -> Tensor {
    try OperatorLibrary.takeAlongDim(.reference(self), .reference(indices), Value(dimension))
  }
}
