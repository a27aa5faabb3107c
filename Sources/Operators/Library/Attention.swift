import GraphIR
import TensorCore

extension OperatorLibrary {
  static let attention = [scaledDotProductAttention]

  /// softmax(query @ keyᵀ · scale + mask) @ value: [..., l, e], [..., s, e], [..., s, v] → [..., l, v].
  ///
  /// The scale is 1/√e where none is given. A bool mask names the pairs that take part, another is added; a causal one lets
  /// each row see the columns up to its own. A row that may see nothing gives zeros.
  public static let scaledDotProductAttention = OperatorDefinition(
    """
    scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., \
    bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor
    """,
    .composite { call in
      let query = try call.tensor(0)
      var (key, value) = (try call.tensor(1), try call.tensor(2))
      try call.checkAttention(query, key, value)
      if try call.bool(7) {
        key = try key.repeatingHeads(of: query, call)
        value = try value.repeatingHeads(of: query, call)
      }
      let width = Double(query.shape[query.rank - 1])
      let scale = try call.optionalScalar(6)?.doubleValue ?? 1 / width.squareRoot()
      var scores = try (query * scale).matmul(key.transpose(-2, -1))
      let mask = try call.optionalTensor(3)
      if let mask {
        scores = try mask.dtype == .bool ? scores.maskedFill(mask.logicalNot(), -Double.infinity) : scores + mask
      } else if try call.bool(5) {
        let (rows, columns) = (query.shape[query.rank - 2], key.shape[key.rank - 2])
        let isHidden = try Tensor.ones([rows, columns], dtype: .bool, device: query.device).triu(1)
        scores = try scores.maskedFill(isHidden, -Double.infinity)
      }
      // Only a mask of the caller's can hide a whole row.
      var weights = try mask == nil ? scores.softmax(-1) : safeSoftmax(.reference(scores), .int(-1))
      if try call.double(4) > 0 { weights = try dropout(.reference(weights), call.arguments[4], .bool(true)) }
      return .reference(try weights.matmul(value))
    })
}

extension Call where Reference == Tensor {
  fileprivate func checkAttention(_ query: Tensor, _ key: Tensor, _ value: Tensor) throws {
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
    if let mask = try optionalTensor(3) {
      guard try !bool(5) else {
        throw OperatorError(.argument, target.name, "takes either attn_mask or is_causal, not both")
      }
      guard mask.dtype == .bool || mask.dtype == query.dtype else {
        throw OperatorError(
          .dtype, target.name, "'attn_mask' must be bool or of the query's dtype \(query.dtype), got \(mask.dtype)")
      }
    }
  }
}

extension Tensor {
  /// Keys or values whose heads (dimension -3) serve several query heads each, once per query head.
  fileprivate func repeatingHeads(of query: Tensor, _ call: OperatorCall) throws -> Tensor {
    guard rank >= 3, query.rank >= 3, query.shape[query.rank - 3] % Swift.max(shape[rank - 3], 1) == 0 else {
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
    _ key: Tensor, _ value: Tensor, mask: Tensor? = nil, isCausal: Bool = false, scale: Double? = nil
  ) throws -> Tensor {
    try OperatorLibrary.scaledDotProductAttention(
      .reference(self), .reference(key), .reference(value), mask.map { .reference($0) } ?? .none, .double(0),
      .bool(isCausal), scale.map { .double($0) } ?? .none)
  }
}
