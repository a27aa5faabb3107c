import GraphIR
import LoopIR
import TensorCore

// Reading and writing along one dimension at places that a tensor of indices names.
extension OperatorLibrary {
  static let indexing = [
    gather, scatter, scatterValue, scatterAdd, indexSelect, indexAdd, indexCopy, indexFill, takeAlongDim,
  ]

  /// result[i][j] = self[index[i][j]][j] along dimension 0, and so on for others.
  public static let gather: OperatorDefinition = OperatorDefinition(
    "gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor",
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

  /// A copy of `self` with self[index[i][j]][j] = src[i][j] along dimension 0, and so on for others.
  public static let scatter = scattering("scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor")
    .derivative(of: "self", saving: ["index"]) { d in
      try scatterValue(.reference(d.gradient), d["dim"], d["index"], .int(0))
    }
    .derivative(of: "src", saving: ["index"]) { d in
      try gather(.reference(d.gradient), d["dim"], d["index"]).padded(to: d.sizes("src"))
    }
    .inPlaceVariant()

  /// As `scatter`, writing one number.
  public static let scatterValue: OperatorDefinition = scattering(
    "scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor"
  )
  .derivative(of: "self", saving: ["index"]) { d in
    try scatterValue(.reference(d.gradient), d["dim"], d["index"], .int(0))
  }
  .inPlaceVariant()

  /// As `scatter`, adding to what is there; an index may come up several times.
  public static let scatterAdd = scattering(
    "scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor", mode: .accumulate
  )
  .derivative(of: "self") { $0.gradient }
  .derivative(of: "src", saving: ["index"]) { d in
    try gather(.reference(d.gradient), d["dim"], d["index"]).padded(to: d.sizes("src"))
  }
  .inPlaceVariant()

  private static func scattering(_ schema: String, mode: LoopKernel.Store.Mode = .assign) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .kernel(
        shape: { call in
          let (input, index) = (try call.tensor(0), try call.tensor(2))
          let dimension = try call.dimension(1, rank: input.rank)
          try call.checkIndex(2, allows: [.int64, .int32])
          try call.checkIndexShape(index, within: input, along: dimension)
          if let source = call.arguments[3].reference {
            try call.checkSource(source, covers: index, of: input)
          } else {
            _ = try call.scalar(3)
          }
          return [TensorMeta(dtype: input.dtype, layout: input.layout.copied(), device: input.device)]
        },
        lowering: { call, results, builder in
          let indices = try call.reference(2)
          let dimension = try call.dimension(1, rank: results[0].sizes.count)
          try builder.update(results[0], from: call.reference(0), sums: mode == .accumulate) { result, builder in
            if indices.elementCount == 0 { return }
            let (place, index) = result.asVector.indexed(dimension, by: indices.asVector)
            let source: LoopBuilder.ScatterSource
            if var operand = call.arguments[3].reference?.asVector {
              operand.sizes = place.sizes
              source = .operand(operand)
            } else {
              source = .number(try call.scalar(3))
            }
            builder.scatter(source, to: place, at: [index], mode: mode)
          }
        }))
  }

  /// The slices along a dimension that a vector of indices names.
  public static let indexSelect: OperatorDefinition = OperatorDefinition(
    "index_select(Tensor self, int dim, Tensor index) -> Tensor",
    .kernel(
      shape: { call in
        let (input, count) = (try call.tensor(0), try call.indexCount())
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

  /// A copy of `self` with alpha · source added to the slices that a vector of indices names.
  public static let indexAdd = indexing(
    "index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor", mode: .accumulate
  )
  .decomposition { try put($0, $0.tensor(3).scaled(by: $0.scalar(4)), accumulating: true) }
  .derivative(of: "self") { $0.gradient }
  .derivative(of: "source", saving: ["index"]) { d in
    try indexSelect(.reference(d.gradient), d["dim"], d["index"]).expand(d.sizes("source"))
      .scaled(by: d.scalar("alpha"))
  }
  .inPlaceVariant()

  /// A copy of `self` in which `source` takes the place of the slices that a vector of indices names.
  public static let indexCopy = indexing(
    "index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor", mode: .assign
  )
  .decomposition { try put($0, $0.tensor(3)) }
  .derivative(of: "self", saving: ["index"]) { d in
    try indexFill(.reference(d.gradient), d["dim"], d["index"], .int(0))
  }
  .derivative(of: "source", saving: ["index"]) { d in
    try indexSelect(.reference(d.gradient), d["dim"], d["index"]).expand(d.sizes("source"))
  }
  .inPlaceVariant()

  /// A copy of `self` with one number in the slices that a vector of indices names.
  public static let indexFill: OperatorDefinition = indexing(
    "index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor", mode: .assign
  )
  .decomposition { try put($0, .scalar($0.scalar(3), dtype: $0.tensor(0).dtype, device: $0.tensor(0).device)) }
  .derivative(of: "self", saving: ["index"]) { d in
    try indexFill(.reference(d.gradient), d["dim"], d["index"], .int(0))
  }
  .inPlaceVariant()

  /// `self` with a source put in the slices that argument 2 names.
  private static func put(_ call: OperatorCall, _ source: Tensor, accumulating: Bool = false) throws -> Value {
    let input = try call.tensor(0)
    let index = try call.tensor(2).reshape([-1])
    if input.rank == 0 {
      let result = try input.unsqueeze(0).indexPut([index], source.reshape([-1]), accumulate: accumulating)
      return .reference(try result.squeeze(0))
    }
    let before = [Tensor?](repeating: nil, count: try call.dimension(1, rank: input.rank))
    return .reference(try input.indexPut(before + [index], source, accumulate: accumulating))
  }

  private static func indexing(_ schema: String, mode: LoopKernel.Store.Mode) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .kernel(
        shape: { call in
          let (input, count) = (try call.tensor(0), try call.indexCount(wraps: mode == .assign))
          let dimension = try call.dimension(1, rank: input.rank)
          if let source = call.arguments[3].reference {
            var expected = input.sizes
            if input.rank > 0 { expected[dimension] = count }
            guard source.sizes == expected || (source.layout.elementCount == 1 && expected.isEmpty && count == 1) else {
              throw OperatorError(
                .shape, call.target.name, "'source' must have the sizes \(expected), got \(source.sizes)")
            }
            guard source.dtype == input.dtype else {
              throw OperatorError(
                .dtype, call.target.name, "'source' must have the dtype \(input.dtype) of 'self', got \(source.dtype)")
            }
          } else {
            _ = try call.scalar(3)
          }
          return [TensorMeta(dtype: input.dtype, layout: input.layout.copied(), device: input.device)]
        },
        lowering: { call, results, builder in
          let dimension = try call.dimension(1, rank: results[0].sizes.count)
          let indices = try call.reference(2).asVector
          let alpha = call.arguments.count > 4 ? try call.scalar(4) : 1
          try builder.update(results[0], from: call.reference(0), sums: mode == .accumulate) { result, builder in
            let result = result.asVector
            var sizes = result.sizes
            sizes[dimension] = indices.elementCount
            var (place, index) = result.indexed(dimension, by: indices.spread(along: dimension, of: sizes))
            index.wraps = mode == .assign && call.target.schema.index(of: "value") != nil
            let source: LoopBuilder.ScatterSource
            if let operand = call.arguments[3].reference {
              source = .operand(operand)
            } else {
              source = .number(try call.scalar(3))
            }
            builder.scatter(source, to: place, at: [index], mode: mode) { element, _ in
              alpha.doubleValue == 1 ? element : element * .constant(alpha)
            }
          }
        }))
  }

  /// `gather` with the other dimensions of tensor and indices broadcast; without `dim`, of the flattened tensor.
  public static let takeAlongDim = OperatorDefinition(
    "take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor",
    .composite { call in
      let (input, index) = (try call.tensor(0), try call.tensor(1))
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
      return .reference(try gather(.reference(wide), Value(place), .reference(index.expand(common))))
    })
}

extension LoopBuilder {
  /// Copies `original` to `result`, unless they are one, and lets `body` change it; sums in half precision are made in a
  /// temporary in float32.
  mutating func update(
    _ result: Operand, from original: Operand, sums: Bool, _ body: (Operand, inout LoopBuilder) throws -> Void
  ) rethrows {
    if sums && (result.dtype == .float16 || result.dtype == .bfloat16) {
      let wide = temporary(.float32, result.sizes)
      copy(original, to: wide)
      try body(wide, &self)
      copy(wide, to: result)
    } else {
      if original != result { copy(original, to: result) }
      try body(result, &self)
    }
  }
}

extension Operand {
  /// A vector laid along one dimension of larger sizes, the same in all others.
  fileprivate func spread(along dimension: Int, of wanted: [Int]) -> Operand {
    viewed(as: wanted, strides: wanted.indices.map { $0 == dimension ? strides[0] : 0 }, offset: offset)
  }
}

extension Call where Reference == Tensor {
  /// The number of indices in the vector at position 2.
  fileprivate func indexCount(wraps: Bool = false) throws -> SymInt {
    try checkIndex(2, allows: [.int64, .int32])
    let index = try tensor(2)
    guard index.rank <= 1 else {
      throw OperatorError(.shape, target.name, "'index' must be a vector, got sizes \(index.sizes)")
    }
    return index.layout.elementCount
  }

  /// Indices need as many dimensions as the tensor, and no more elements than it in any but the indexed one.
  fileprivate func checkIndexShape(_ index: Tensor, within input: Tensor, along dimension: Int) throws {
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

  fileprivate func checkSource(_ source: Tensor, covers index: Tensor, of input: Tensor) throws {
    guard source.dtype == input.dtype else {
      throw OperatorError(
        .dtype, target.name, "'src' must have the dtype \(input.dtype) of 'self', got \(source.dtype)")
    }
    if index.layout.isEmpty { return }
    guard max(source.rank, 1) == max(index.rank, 1), zip(index.sizes, source.sizes).allSatisfy({ $0 <= $1 }) else {
      throw OperatorError(
        .shape, target.name, "'src' of sizes \(source.sizes) must not be smaller than 'index' of sizes \(index.sizes)")
    }
  }
}

extension Tensor {
  /// This tensor with zeros after it in each dimension, up to larger sizes.
  fileprivate func padded(to wanted: [SymInt]) throws -> Tensor {
    if sizes == wanted { return self }
    if layout.isEmpty { return try newZeros(wanted) }
    if rank != wanted.count { return try reshape(wanted) }
    let padding = wanted.indices.reversed().flatMap { [SymInt(0), wanted[$0] - sizes[$0]] }
    return try OperatorLibrary.constantPad(.reference(self), Value(padding), .int(0))
  }

  /// result[i][j] = self[index[i][j]][j] along dimension 0, and so on for others.
  public func gather(_ dimension: Int, _ index: Tensor) throws -> Tensor {
    try OperatorLibrary.gather(.reference(self), Value(dimension), .reference(index))
  }

  /// A copy with self[index[i][j]][j] = source[i][j] along dimension 0, and so on for others.
  public func scatter(_ dimension: Int, _ index: Tensor, _ source: Tensor) throws -> Tensor {
    try OperatorLibrary.scatter(.reference(self), Value(dimension), .reference(index), .reference(source))
  }

  @discardableResult
  public func scatter_(_ dimension: Int, _ index: Tensor, _ source: Tensor) throws -> Tensor {
    try OperatorLibrary.scatter.inPlace(.reference(self), Value(dimension), .reference(index), .reference(source))
  }

  /// As `scatter`, writing one number.
  public func scatter(_ dimension: Int, _ index: Tensor, value: Scalar) throws -> Tensor {
    try OperatorLibrary.scatterValue(.reference(self), Value(dimension), .reference(index), Value(value))
  }

  /// As `scatter`, adding to what is there.
  public func scatterAdd(_ dimension: Int, _ index: Tensor, _ source: Tensor) throws -> Tensor {
    try OperatorLibrary.scatterAdd(.reference(self), Value(dimension), .reference(index), .reference(source))
  }

  @discardableResult
  public func scatterAdd_(_ dimension: Int, _ index: Tensor, _ source: Tensor) throws -> Tensor {
    try OperatorLibrary.scatterAdd.inPlace(.reference(self), Value(dimension), .reference(index), .reference(source))
  }

  /// The slices along a dimension that a vector of indices names.
  public func indexSelect(_ dimension: Int, _ index: Tensor) throws -> Tensor {
    try OperatorLibrary.indexSelect(.reference(self), Value(dimension), .reference(index))
  }

  /// A copy with alpha · source added to the slices that a vector of indices names.
  public func indexAdd(_ dimension: Int, _ index: Tensor, _ source: Tensor, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.indexAdd(
      .reference(self), Value(dimension), .reference(index), .reference(source), Value(alpha))
  }

  @discardableResult
  public func indexAdd_(_ dimension: Int, _ index: Tensor, _ source: Tensor, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.indexAdd.inPlace(
      .reference(self), Value(dimension), .reference(index), .reference(source), Value(alpha))
  }

  /// The elements along a dimension that indices name, other dimensions broadcast.
  public func takeAlong(_ dimension: Int, _ indices: Tensor) throws -> Tensor {
    try OperatorLibrary.takeAlongDim(.reference(self), .reference(indices), Value(dimension))
  }
}
