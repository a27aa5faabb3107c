import GraphIR
import LoopIR
import TensorCore

// Tensors put together and repeated.
extension OperatorLibrary {
  static let joining = [cat, concat, stack, repeated, tile]

  /// Tensors one after another along a dimension, in their common type. Empty ones of one dimension have no say.
  public static let cat = OperatorDefinition(
    "cat(Tensor[] tensors, int dim=0) -> Tensor",
    .kernel(
      shape: { call in
        let tensors = try call.tensors(0)
        guard let first = tensors.first(where: { !$0.isLegacyEmpty }) ?? tensors.first else {
          throw OperatorError(.argument, call.target.name, "needs at least one tensor")
        }
        let dimension = try call.dimension(1, rank: first.rank)
        var (sizes, promotion) = (first.sizes, TypePromotion())
        if first.rank > 0 { sizes[dimension] = 0 }
        for (index, tensor) in tensors.enumerated() {
          promotion.add(tensor.dtype, rank: tensor.rank)
          if tensor.isLegacyEmpty && first.rank != 1 { continue }
          guard tensor.rank > 0 else {
            throw OperatorError(.shape, call.target.name, "tensor \(index) has no dimension to join along")
          }
          var expected = sizes
          if tensor.rank == first.rank { expected[dimension] = tensor.sizes[dimension] }
          guard tensor.sizes == expected else {
            throw OperatorError(
              .shape, call.target.name,
              "sizes must agree except at dimension \(dimension): tensor \(index) has \(tensor.sizes), the first \(first.sizes)"
            )
          }
          sizes[dimension] += tensor.sizes[dimension]
        }
        let format = first.layout.imageFormat
        let isCommon = tensors.allSatisfy { $0.layout.imageFormat == format }
        let layout = Layout(contiguous: sizes).copied(format: isCommon ? format : .contiguous)
        return [TensorMeta(dtype: promotion.result ?? first.dtype, layout: layout, device: first.device)]
      },
      lowering: { call, results, builder in
        let rank = results[0].sizes.count
        let dimension = try call.dimension(1, rank: rank)
        var start = 0
        for tensor in try call.references(0) where tensor.sizes.count == rank {
          builder.copy(tensor, to: results[0].narrowed(dimension, from: start, length: tensor.sizes[dimension]))
          start += tensor.sizes[dimension]
        }
      })
  )
  .derivative(of: "tensors") { d -> [Value] in
    let dimension = try d.call.dimension(1, rank: d.gradient.rank)
    var start = 0
    let gradients = try d.call.tensors(0).map { tensor -> Value in
      guard tensor.rank == d.gradient.rank else { return .none }
      let end = start + tensor.shape[dimension]
      defer { start = end }
      return .reference(try d.gradient.slice(dimension, from: start, to: end))
    }
    return [.list(gradients)]
  }

  public static let concat = OperatorDefinition(
    "concat(Tensor[] tensors, int dim=0) -> Tensor", .composite { try cat.call($0.arguments) })

  /// Tensors of one shape along a new dimension.
  public static let stack = OperatorDefinition(
    "stack(Tensor[] tensors, int dim=0) -> Tensor",
    .kernel(
      shape: { call in
        let tensors = try call.tensors(0)
        guard let first = tensors.first else {
          throw OperatorError(.argument, call.target.name, "needs at least one tensor")
        }
        if let other = tensors.first(where: { $0.sizes != first.sizes }) {
          throw OperatorError(
            .shape, call.target.name, "tensors must have one shape, got \(first.sizes) and \(other.sizes)")
        }
        var promotion = TypePromotion()
        for tensor in tensors { promotion.add(tensor.dtype, rank: tensor.rank) }
        var sizes = first.sizes
        sizes.insert(SymInt(tensors.count), at: try call.dimension(1, rank: first.rank + 1))
        let meta = TensorMeta(dtype: promotion.result ?? first.dtype, sizes: sizes, device: first.device)
        _ = try meta.layout.requiredByteCount(meta.dtype)
        return [meta]
      },
      lowering: { call, results, builder in
        let dimension = try call.dimension(1, rank: results[0].sizes.count)
        for (index, tensor) in try call.references(0).enumerated() {
          let place = results[0].narrowed(dimension, from: index, length: 1)
          let rest = place.sizes.indices.filter { $0 != dimension }
          builder.copy(tensor, to: place.permuted(rest))
        }
      })
  )
  .derivative(of: "tensors") { d -> [Value] in
    [.list(try d.gradient.unbind(d.call.int(1)).map { .reference($0) })]
  }

  /// The tensor so many times along each dimension; new dimensions come in front.
  public static let repeated = OperatorDefinition(
    "repeat(Tensor self, SymInt[] repeats) -> Tensor",
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        let (counts, sizes) = try call.repetition(of: input.sizes)
        guard Layout(checkedSizes: counts + sizes, strides: nil, offset: 0, itemBytes: input.dtype.byteCount) != nil
        else {
          throw OperatorError(.shape, call.target.name, "no memory could hold \(counts) times the sizes \(sizes)")
        }
        return [TensorMeta(dtype: input.dtype, sizes: zip(counts, sizes).map { $0 * $1 }, device: input.device)]
      },
      lowering: { call, results, builder in
        let input = try call.reference(0)
        let (counts, sizes) = try call.repetition(of: [SymInt](input.sizes))
        // Result index = repetition · size + input index, dimension by dimension.
        let result = results[0]
        let missing = sizes.count - input.sizes.count
        let split = zip(counts, sizes).flatMap { [$0.value, $1.value] }
        let target = result.viewed(
          as: split, strides: sizes.indices.flatMap { [result.strides[$0] * sizes[$0].value, result.strides[$0]] },
          offset: result.offset)
        let source = input.viewed(
          as: split, strides: sizes.indices.flatMap { [0, $0 < missing ? 0 : input.strides[$0 - missing]] },
          offset: input.offset)
        builder.copy(source, to: target)
      })
  )
  .derivative { d in
    let (counts, sizes) = try d.call.repetition(of: d.sizes("self"))
    let split = try d.gradient.reshape(zip(counts, sizes).flatMap { [$0, $1] })
    // With the repetitions summed, new dimensions of size 1 remain in front.
    return sizes.isEmpty ? split : try split.sum(sizes.indices.map { 2 * $0 }).reshape(d.sizes("self"))
  }

  public static let tile = OperatorDefinition(
    "tile(Tensor self, SymInt[] dims) -> Tensor",
    .composite { call in
      let (input, counts) = (try call.tensor(0), try call.symInts(1))
      let missing = Swift.max(0, input.rank - counts.count)
      return .reference(try repeated(.reference(input), Value([SymInt](repeating: 1, count: missing) + counts)))
    })
}

extension Call {
  /// How often each dimension is repeated (argument 1), and its size: 1 for a new one in front.
  fileprivate func repetition(of sizes: [SymInt]) throws -> (counts: [SymInt], sizes: [SymInt]) {
    let counts = try symInts(1)
    guard counts.count >= sizes.count, !counts.contains(where: { $0 < 0 }) else {
      throw OperatorError(
        .argument, target.name, "needs a count of at least 0 for each of \(sizes.count) dimensions, got \(counts)")
    }
    return (counts, [SymInt](repeating: 1, count: counts.count - sizes.count) + sizes)
  }
}

extension Operand {
  /// `length` elements of a dimension from `start`.
  func narrowed(_ dimension: Int, from start: Int, length: Int) -> Operand {
    var result = self
    result.sizes[dimension] = length
    result.offset += start * strides[dimension]
    return result
  }
}

extension Tensor {
  /// Sizes [0], which `cat` accepts beside tensors of any rank.
  fileprivate var isLegacyEmpty: Bool { sizes == [0] }

  /// Tensors one after another along a dimension.
  public static func cat(_ tensors: [Tensor], dimension: Int = 0) throws -> Tensor {
    try OperatorLibrary.cat(.list(tensors.map { .reference($0) }), Value(dimension))
  }

  /// Tensors of one shape along a new dimension.
  public static func stack(_ tensors: [Tensor], dimension: Int = 0) throws -> Tensor {
    try OperatorLibrary.stack(.list(tensors.map { .reference($0) }), Value(dimension))
  }

  /// This tensor so many times along each dimension.
  public func repeated(_ counts: [SymInt]) throws -> Tensor {
    try OperatorLibrary.repeated(.reference(self), Value(counts))
  }
  public func repeated(_ counts: [Int]) throws -> Tensor { try repeated([SymInt](counts)) }
}
