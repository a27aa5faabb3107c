import GraphIR
import TensorCore

// Elements repeated where they stand.
extension OperatorLibrary {
  static let interleaving = [repeatInterleave, repeatInterleaveSelfTensor, repeatInterleaveSelf]

  /// Each place of a vector as often as its element says: the indices by which others are repeated.
  public static let repeatInterleave = OperatorDefinition(
    "repeat_interleave.Tensor(Tensor repeats, *, SymInt? output_size=None) -> Tensor", traits: .dataDependent,
    .host(
      shape: { call in
        let repeats = try call.tensor(0)
        try call.checkIndex(0, allows: [.int64, .int32, .int16, .int8, .uint8])
        if repeats.layout.isEmpty {
          return [TensorMeta(dtype: repeats.dtype, sizes: repeats.sizes, device: repeats.device)]
        }
        guard repeats.rank == 1 else {
          throw OperatorError(.shape, call.target.name, "'repeats' must be a vector, got sizes \(repeats.sizes)")
        }
        let size = try call.optionalInt(1) ?? call.counts().reduce(0, +)
        let meta = TensorMeta(dtype: repeats.dtype, sizes: [SymInt(size)], device: repeats.device)
        _ = try meta.layout.requiredByteCount(meta.dtype)
        return [meta]
      },
      body: { call, results in
        let counts = try call.counts()
        guard counts.reduce(0, +) == results[0].elementCount else {
          throw OperatorError(
            .argument, call.target.name,
            "argument 'output_size' must be \(counts.reduce(0, +)), got \(results[0].elementCount)")
        }
        let places = counts.enumerated().flatMap { [Int](repeating: $0.offset, count: $0.element) }
        try EagerKernels.copy(Tensor(places, shape: results[0].shape), to: results[0])
      })
  )
  .notDifferentiable()

  /// Each slice along a dimension as often as a vector says, one number standing for all; without `dim`, of the flattened
  /// tensor.
  public static let repeatInterleaveSelfTensor = OperatorDefinition(
    """
    repeat_interleave.self_Tensor(Tensor self, Tensor repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor
    """,
    .composite { call in
      let (input, dimension) = try call.interleaved()
      let repeats = try call.tensor(1)
      let size = input.sizes[dimension]
      guard repeats.rank <= 1, repeats.layout.elementCount == 1 || repeats.sizes == [size] else {
        throw OperatorError(
          .shape, call.target.name,
          "'repeats' must hold one number, or \(size) for dimension \(dimension), got sizes \(repeats.sizes)")
      }
      let counts = try repeats.reshape([-1]).expand([size])
      let indices = try repeatInterleave(.reference(counts), call.arguments[3])
      return .reference(try input.indexSelect(dimension, indices))
    })

  /// Each slice along a dimension as often as a number says; without `dim`, of the flattened tensor.
  public static let repeatInterleaveSelf = OperatorDefinition(
    "repeat_interleave.self_int(Tensor self, SymInt repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor",
    .composite { call in
      let (input, dimension) = try call.interleaved()
      let (count, size) = (try call.int(1), input.shape[dimension])
      guard count >= 0 else {
        throw OperatorError(.argument, call.target.name, "argument 'repeats' must not be negative, got \(count)")
      }
      let (total, overflow) = size.multipliedReportingOverflow(by: count)
      guard !overflow, try call.optionalInt(3).map({ $0 == total }) ?? true else {
        throw OperatorError(
          .argument, call.target.name,
          "\(count) times the size \(size) of dimension \(dimension) is not what 'output_size' says, or no memory holds it"
        )
      }
      var sizes = input.sizes
      sizes.insert(SymInt(count), at: dimension + 1)
      let repeated = try input.unsqueeze(dimension + 1).expand(sizes).clone(memoryFormat: .contiguous)
      return .reference(try repeated.flatten(from: dimension, to: dimension + 1))
    })
}

extension Call where Reference == Tensor {
  /// The tensor to repeat slices of, and the dimension that argument 2 names: without one, all elements in one dimension.
  fileprivate func interleaved() throws -> (Tensor, dimension: Int) {
    let input = try tensor(0)
    guard let dimension = try optionalInt(2) else { return (try input.reshape([-1]), 0) }
    guard input.rank > 0 else {
      throw OperatorError(
        .index, target.name, "a tensor without dimensions has no dimension \(dimension) to repeat along")
    }
    return (input, try target.normalizedDimension(dimension, rank: input.rank))
  }

  /// The numbers in argument 0.
  ///
  /// - Throws: `OperatorError` where one is negative or all are too many, or, while a function is captured, since it is not
  ///   known then.
  fileprivate func counts() throws -> [Int] {
    let repeats = try tensor(0)
    guard !repeats.isFake else {
      throw OperatorError(
        .dataDependent, target.name,
        "the number of elements depends on values that are not known while a function is captured; name it as"
          + " 'output_size'")
    }
    let wide = try Tensor(uninitialized: Layout(contiguous: repeats.sizes), dtype: .int64)
    try EagerKernels.copy(repeats, to: wide)
    let counts = try wide.elements(as: Int.self)
    var total = 0
    for count in counts {
      let (sum, overflow) = total.addingReportingOverflow(count)
      guard count >= 0, !overflow else {
        throw OperatorError(
          .argument, target.name,
          "argument 'repeats' must hold no negative number, nor more than memory holds; got \(count)")
      }
      total = sum
    }
    return counts
  }
}

extension Tensor {
  /// Each slice along a dimension `count` times; without a dimension, each element.
  public func repeatInterleave(_ count: Int, dimension: Int? = nil) throws -> Tensor {
    try OperatorLibrary.repeatInterleaveSelf(
      .reference(self), Value(count), dimension.map { Value($0) } ?? .none)
  }

  /// Each slice along a dimension as often as a vector of counts says; without a dimension, each element.
  public func repeatInterleave(_ counts: Tensor, dimension: Int? = nil, outputSize: Int? = nil) throws -> Tensor {
    try OperatorLibrary.repeatInterleaveSelfTensor(
      .reference(self), .reference(counts), dimension.map { Value($0) } ?? .none,
      outputSize.map { Value($0) } ?? .none)
  }
}
