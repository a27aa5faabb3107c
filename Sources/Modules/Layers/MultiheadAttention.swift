import AOTAutograd

/// Attention of several heads: `torch.nn.MultiheadAttention`, for queries, keys and values of one width.
public final class MultiheadAttention: Module {
  /// [3 · width, width]: what makes queries, keys and values.
  @Parameter public var inProjWeight: Tensor
  /// [3 · width], 0 at first
  @Parameter public var inProjBias: Tensor?
  public let outProj: Linear

  public let width: Int
  public let headCount: Int
  /// The probability that a weight of attention is dropped in training.
  public let dropout: Double
  /// Whether the batch is the first dimension of inputs and results, or the second, as it is in PyTorch by default.
  public let batchFirst: Bool

  /// Weights are drawn as in PyTorch: `xavierUniform` for those of the inputs, biases 0.
  ///
  /// - Throws: `ModuleError` where the width is no multiple of the heads.
  public init(
    _ width: Int, heads: Int, dropout: Double = 0, bias: Bool = true, batchFirst: Bool = false,
    dtype: DType = .float32
  ) throws {
    guard heads > 0, width.isMultiple(of: heads) else {
      throw ModuleError(.invalidSetting, "MultiheadAttention: a width of \(width) is no multiple of \(heads) heads")
    }
    guard 0...1 ~= dropout else {
      throw ModuleError(.invalidSetting, "MultiheadAttention: a dropout of \(dropout) is no probability")
    }
    let weight = try Tensor.empty(sizes: [3 * width, width], of: "MultiheadAttention", dtype)
    try Initializer.xavierUniform().fill(weight)
    inProjWeight = weight
    inProjBias = bias ? try .zeros([3 * width], dtype: dtype) : nil
    outProj = try Linear(width, width, bias: bias, dtype: dtype)
    if let bias = outProj.bias { try Initializer.zeros.fill(bias) }
    self.width = width
    headCount = heads
    self.dropout = dropout
    self.batchFirst = batchFirst
  }

  /// Attends to itself.
  ///
  /// - Parameters: As below.
  public func callAsFunction(
    _ input: Tensor, mask: Tensor? = nil, keyPaddingMask: Tensor? = nil, isCausal: Bool = false
  ) throws -> Tensor {
    let projected = try input.linear(inProjWeight, bias: inProjBias).chunk(3, dimension: -1)
    return try attend(projected, mask: mask, keyPaddingMask: keyPaddingMask, isCausal: isCausal)
  }

  /// - Parameters:
  ///   - query: [n, l, width], or [l, n, width] where the batch is not first.
  ///   - key: [n, s, width], or [s, n, width]
  ///   - value: As `key`.
  ///   - mask: [l, s] or [n · heads, l, s]: true where a query may not see a key, or numbers that are added to the scores.
  ///   - keyPaddingMask: bool[n, s]: true where a key is to be seen by no query.
  ///   - isCausal: Whether each query sees only the keys up to its own position.
  /// - Returns: The shape of `query`.
  public func callAsFunction(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, mask: Tensor? = nil, keyPaddingMask: Tensor? = nil,
    isCausal: Bool = false
  ) throws -> Tensor {
    let weights = try inProjWeight.chunk(3)
    let biases = try inProjBias?.chunk(3)
    let projected = try zip([query, key, value], weights.indices).map { input, index in
      try input.linear(weights[index], bias: biases?[index])
    }
    return try attend(projected, mask: mask, keyPaddingMask: keyPaddingMask, isCausal: isCausal)
  }

  /// - Parameter projected: Queries, keys and values.
  private func attend(
    _ projected: [Tensor], mask: Tensor?, keyPaddingMask: Tensor?, isCausal: Bool
  ) throws -> Tensor {
    guard projected[0].rank == 3 else {
      throw ModuleError(
        .shapeMismatch, "MultiheadAttention takes a batch of sequences, of three dimensions; got \(projected[0].shape)")
    }
    let heads = try projected.map { part in
      let split = try part.unflatten(2, into: [headCount, width / headCount])
      return try batchFirst ? split.transpose(1, 2) : split.permute([1, 2, 0, 3])
    }
    let attended = try heads[0].scaledDotProductAttention(
      heads[1], heads[2], mask: scores(mask, keyPaddingMask, heads[0], keys: heads[1].shape[2], isCausal: isCausal),
      dropout: isTraining ? dropout : 0, isCausal: isCausal && mask == nil && keyPaddingMask == nil)
    let joined = try batchFirst ? attended.transpose(1, 2) : attended.permute([2, 0, 1, 3])
    return try outProj(joined.flatten(from: 2))
  }

  /// What the masks add to the scores of each head; nil where they add nothing.
  ///
  /// - Parameter queries: [n, heads, l, width / heads]
  private func scores(
    _ mask: Tensor?, _ keyPaddingMask: Tensor?, _ queries: Tensor, keys: Int, isCausal: Bool
  ) throws -> Tensor? {
    guard mask != nil || keyPaddingMask != nil else { return nil }
    func added(_ mask: Tensor) throws -> Tensor {
      guard mask.dtype == .bool else { return mask }
      return try Tensor.zeros(mask.shape, dtype: queries.dtype).maskedFill(mask, -Double.infinity)
    }
    var sum: Tensor?
    if let mask {
      let scores = try added(mask)
      sum = mask.rank == 3 ? try scores.unflatten(0, into: [queries.shape[0], headCount]) : scores
    }
    if let keyPaddingMask {
      let scores = try added(keyPaddingMask).unsqueeze(1).unsqueeze(1)
      sum = try sum.map { try $0 + scores } ?? scores
    }
    if isCausal {
      let future = try Tensor.ones([queries.shape[2], keys], dtype: .bool).triu(1)
      let scores = try added(future)
      sum = try sum.map { try $0 + scores } ?? scores
    }
    return sum
  }

  public override var settings: String {
    "\(width), heads: \(headCount), dropout: \(dropout), batchFirst: \(batchFirst)"
  }
}
