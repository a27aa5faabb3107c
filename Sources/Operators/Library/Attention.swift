import GraphIR
import TensorCore

extension OperatorLibrary {
  static let attention = [scaledDotProductAttention, attentionMath]

  /// softmax(query @ keyᵀ · scale + mask) @ value: [..., l, e], [..., s, e], [..., s, v] → [..., l, v].
  ///
  /// The scale is 1/√e where none is given. A bool mask names the pairs that take part, another is added; a causal one lets
  /// each row see the columns up to its own. A row that may see nothing gives zeros. With `enable_gqa`, each head of key and
  /// value (dimension -3) may serve several of the query's.
  public static let scaledDotProductAttention = OperatorDefinition(
    """
    scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., \
    bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor
    """,
    .composite { call in
      let (query, key, value) = (try call.tensor(0), try call.tensor(1), try call.tensor(2))
      let mask = try call.optionalTensor(3)
      try call.checkAttention(query, key, value, mask: mask)
      if let mask, mask.dtype != .bool, mask.dtype != query.dtype, mask.dtype != .float32 {
        throw OperatorError(
          .dtype, call.target.name,
          "'attn_mask' must be bool, float32 or of the query's type \(query.dtype), got \(mask.dtype)")
      }
      guard try isFlash(query, key, value, mask: mask, call) else {
        return .reference(
          try attentionMath.firstResult(
            Array(call.arguments[..<6]) + [.none, call.arguments[6], call.arguments[7]]))
      }
      let added = try mask.map { try $0.dtype == .bool ? $0.asAddedMask(query.dtype) : $0 }
      return .reference(
        try flashAttentionForward.firstResult([
          .reference(query), .reference(key), .reference(value), .double(0), call.arguments[5],
          added.map { .reference($0) } ?? .none, call.arguments[6],
        ]))
    })

  /// The same step by step. Results: output, and the weights that the values were summed with. A mask of dropout names the
  /// weights that are kept.
  public static let attentionMath = OperatorDefinition(
    """
    _scaled_dot_product_attention_math(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, \
    float dropout_p=0., bool is_causal=False, Tensor? dropout_mask=None, *, float? scale=None, \
    bool enable_gqa=False) -> (Tensor, Tensor)
    """,
    .composite { call in
      let query = try call.tensor(0)
      var (key, value) = (try call.tensor(1), try call.tensor(2))
      let mask = try call.optionalTensor(3)
      try call.checkAttention(query, key, value, mask: mask)
      let dropout = try call.probability(4)
      if try call.bool(8) {
        key = try key.repeatingHeads(of: query, call)
        value = try value.repeatingHeads(of: query, call)
      }
      let width = Double(query.shape[query.rank - 1])
      let scale = try call.optionalScalar(7)?.doubleValue ?? 1 / width.squareRoot()
      var scores = try (query * scale).matmul(key.transpose(-2, -1))
      if let mask {
        scores = try mask.dtype == .bool ? scores.maskedFill(mask.logicalNot(), -Double.infinity) : scores + mask
      } else if try call.bool(5) {
        scores = try scores.hidingLaterColumns(rows: query.shape[query.rank - 2], columns: key.shape[key.rank - 2])
      }
      // Only a mask of the caller's can hide a whole row.
      var weights = try mask == nil ? scores.softmax(-1) : safeSoftmax(.reference(scores), .int(-1))
      if let kept = try call.optionalTensor(6) {
        weights = try weights.maskedFill(kept.logicalNot(), 0) / (1 - dropout)
      } else if dropout > 0 {
        weights = try weights.dropout(dropout, isTraining: true)
      }
      weights = try weights.converted(to: query.dtype)
      return .tuple([.reference(try weights.matmul(value)), .reference(weights)])
    })

  /// Whether the operator of one node takes a call; PyTorch decides so on the CPU, but that it cannot differentiate a mask.
  private static func isFlash(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, mask: Tensor?, _ call: OperatorCall
  ) throws -> Bool {
    let operands = [query, key, value]
    guard try call.double(4) == 0, operands.allSatisfy({ $0.rank == 4 && $0.strides[3] == 1 }),
      !query.sizes.dropFirst().contains(0), !key.sizes.dropFirst().contains(0), key.sizes == value.sizes,
      query.sizes[0] == key.sizes[0], query.sizes[3] == key.sizes[3],
      try query.sizes[1] == key.sizes[1] || (call.bool(7) && query.servesHeads(of: key))
    else { return false }
    guard let mask, mask.rank != 2 else { return true }
    return mask.rank == 4 && zip(mask.sizes, query.sizes[..<2]).allSatisfy { $0 == 1 || $0 == $1 }
  }
}

extension Call where Reference == Tensor {
  fileprivate func checkAttention(_ query: Tensor, _ key: Tensor, _ value: Tensor, mask: Tensor?) throws {
    guard query.dtype == key.dtype, key.dtype == value.dtype, query.dtype.isFloatingPoint else {
      throw OperatorError(
        .dtype, target.name,
        "query, key and value must have one floating-point dtype, got \(query.dtype), \(key.dtype), \(value.dtype)")
    }
    guard [query, key, value].allSatisfy({ $0.rank >= 2 }), query.sizes.last == key.sizes.last,
      key.sizes[key.rank - 2] == value.sizes[value.rank - 2]
    else {
      throw OperatorError(
        .shape, target.name,
        "needs query [..., l, e], key [..., s, e], value [..., s, v], got sizes \(query.sizes), \(key.sizes), \(value.sizes)"
      )
    }
    guard let mask else { return }
    guard try !bool(5) else {
      throw OperatorError(.argument, target.name, "takes either attn_mask or is_causal, not both")
    }
    let scores = [query.sizes[query.rank - 2], key.sizes[key.rank - 2]]
    guard mask.rank >= 2, try target.broadcast([Array(mask.sizes.suffix(2)), scores]) == scores else {
      throw OperatorError(
        .shape, target.name, "'attn_mask' must broadcast to [..., \(scores[0]), \(scores[1])], got \(mask.sizes)")
    }
  }
}

extension Tensor {
  /// A mask that names what takes part as one to be added.
  fileprivate func asAddedMask(_ dtype: DType) throws -> Tensor {
    try Tensor.zeros([], dtype: dtype, device: device).expand(sizes).maskedFill(logicalNot(), -Double.infinity)
  }

  /// Keys or values whose heads (dimension -3) serve several query heads each, once per query head.
  fileprivate func repeatingHeads(of query: Tensor, _ call: OperatorCall) throws -> Tensor {
    guard rank >= 3, query.rank >= 3, query.servesHeads(of: self) else {
      throw OperatorError(
        .shape, call.target.name, "the query's heads must be a multiple of the key's, got \(query.sizes) and \(sizes)")
    }
    let count = query.shape[query.rank - 3] / Swift.max(shape[rank - 3], 1)
    if count == 1 { return self }
    var wide = try unsqueeze(-3).sizes
    wide[wide.count - 3] = SymInt(count)
    var merged = sizes
    merged[rank - 3] *= SymInt(count)
    return try unsqueeze(-3).expand(wide).reshape(merged)
  }

  /// softmax(self @ keyᵀ · scale + mask) @ value, with this tensor as the query.
  public func scaledDotProductAttention(
    _ key: Tensor, _ value: Tensor, mask: Tensor? = nil, dropout: Double = 0, isCausal: Bool = false,
    scale: Double? = nil, groupsHeads: Bool = false
  ) throws -> Tensor {
    try OperatorLibrary.scaledDotProductAttention(
      .reference(self), .reference(key), .reference(value), mask.map { .reference($0) } ?? .none, .double(dropout),
      .bool(isCausal), scale.map { .double($0) } ?? .none, .bool(groupsHeads))
  }
}
