import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let flashAttention = [flashAttentionForward, flashAttentionBackward]

  /// softmax(query @ keyᵀ · scale + mask) @ value for query [B, H, L, E], key and value [B, G, S, E], where each of G heads
  /// serves H / G query heads. Results: output [B, H, L, E], and the logarithm of each row's sum of exponentials [B, H, L],
  /// 0 where a row sees nothing, from which the backward pass has the weights again: they are not saved.
  public static let flashAttentionForward: OperatorDefinition = OperatorDefinition(
    """
    _scaled_dot_product_flash_attention_for_cpu(Tensor query, Tensor key, Tensor value, float dropout_p=0., \
    bool is_causal=False, *, Tensor? attn_mask=None, float? scale=None) -> (Tensor output, Tensor logsumexp)
    """, traits: .computeBound,
    .kernel(
      shape: { call in
        let query = try call.tensor(0)
        try call.checkFlashAttention(queryAt: 0, dropoutAt: 3, maskAt: 5)
        let (batch, heads, rows) = (query.sizes[0], query.sizes[1], query.sizes[2])
        let statistics = Layout(sizes: [batch, heads, rows], strides: [rows * heads, 1, heads])
        return [
          TensorMeta(dtype: query.dtype, layout: query.layout.copied(format: .preserve), device: query.device),
          TensorMeta(dtype: query.dtype.accumulator, layout: statistics, device: query.device),
        ]
      },
      lowering: { call, results, builder in
        let lowering = try AttentionLowering(call, queryAt: 0, causalAt: 4, maskAt: 5, &builder)
        let weights = lowering.normalizedWeights(logsumexp: results[1], &builder)
        lowering.multiply(weights, lowering.value, to: results[0], &builder)
      })
  )
  .decomposition { call in
    let terms = try AttentionTerms(call, queryAt: 0, causalAt: 4, maskAt: 5)
    let output = try terms.output.converted(to: call.tensor(0).dtype)
    return .tuple([.reference(output), .reference(try terms.logSumExp)])
  }
  .derivative(
    of: "query", "key", "value", saving: ["query", "key", "value", "attn_mask", "result", "result1"]
  ) { d -> [Value] in
    guard let gradient = d.gradients[0] else { return [.none, .none, .none] }
    return try flashAttentionBackward.call([
      .reference(gradient), d["query"], d["key"], d["value"], .reference(d.results[0]), .reference(d.results[1]),
      d["dropout_p"], d["is_causal"], d["attn_mask"], d["scale"],
    ]).elements ?? []
  }
  .derivative(of: "attn_mask", saving: ["query", "key", "value", "attn_mask"]) { d in
    guard let gradient = d.gradients[0] else { return nil }
    return try AttentionGradients(d.call, queryAt: 0, causalAt: 4, maskAt: 5, gradient: gradient).ofScores
  }
  .auxiliary(results: 1)

  /// The gradients of the output for query, key and value.
  public static let flashAttentionBackward: OperatorDefinition = OperatorDefinition(
    """
    _scaled_dot_product_flash_attention_for_cpu_backward(Tensor grad_out, Tensor query, Tensor key, Tensor value, \
    Tensor out, Tensor logsumexp, float dropout_p, bool is_causal, *, Tensor? attn_mask=None, float? scale=None) \
    -> (Tensor grad_query, Tensor grad_key, Tensor grad_value)
    """, traits: .computeBound,
    .kernel(
      shape: { call in
        let query = try call.tensor(1)
        try call.checkFlashAttention(queryAt: 1, dropoutAt: 6, maskAt: 8)
        guard try call.tensor(0).sizes == query.sizes, try call.tensor(4).sizes == query.sizes,
          try call.tensor(5).sizes == query.sizes.dropLast()
        else {
          throw OperatorError(
            .shape, call.target.name,
            "'grad_out', 'out' and 'logsumexp' must be those of a query \(query.sizes), got sizes \(try call.tensor(0).sizes), \(try call.tensor(4).sizes) and \(try call.tensor(5).sizes)"
          )
        }
        // Heads lie within rows, as projections of [B, L, H · E] have them.
        return try (1...3).map { position in
          let operand = try call.tensor(position)
          let rows = Layout(contiguous: [0, 2, 1, 3].map { operand.sizes[$0] })
          let strides = [0, 2, 1, 3].map { rows.strides[$0] }
          return TensorMeta(
            dtype: operand.dtype, layout: Layout(sizes: operand.sizes, strides: strides), device: operand.device)
        }
      },
      lowering: { call, results, builder in
        let lowering = try AttentionLowering(call, queryAt: 1, causalAt: 7, maskAt: 8, &builder)
        let gradient = lowering.grouped(try call.reference(0), &builder)
        let output = lowering.grouped(try call.reference(4), &builder)
        let weights = lowering.restoredWeights(logsumexp: try call.reference(5), &builder)
        lowering.multiplySummingGroups(weights, gradient, to: results[2], &builder)
        let scores = lowering.gradientOfScores(weights, gradient: gradient, output: output, &builder)
        lowering.multiply(scores, lowering.key, to: results[0], &builder)
        lowering.multiplySummingGroups(scores, lowering.query, to: results[1], &builder)
      })
  )
  .decomposition { call in
    let gradients = try AttentionGradients(call, queryAt: 1, causalAt: 7, maskAt: 8, gradient: call.tensor(0)).first
    let dtype = try call.tensor(1).dtype
    return .tuple(try gradients.map { .reference(try $0.converted(to: dtype)) })
  }
  .derivative(
    of: "grad_out", "query", "key", "value", "attn_mask",
    saving: ["grad_out", "query", "key", "value", "attn_mask"]
  ) { d -> [Value] in
    try AttentionGradients(d.call, queryAt: 1, causalAt: 7, maskAt: 8, gradient: d.tensor("grad_out"))
      .secondGradients(d.gradients).map { .reference($0) }
  }
  // A function of the others: their gradients have its part.
  .derivative(of: "out") { _ in nil }
}

extension Call where Reference == Tensor {
  fileprivate func checkFlashAttention(queryAt first: Int, dropoutAt: Int, maskAt: Int) throws {
    let operands = try (first..<first + 3).map(tensor)
    let (query, key) = (operands[0], operands[1])
    guard query.dtype.isFloatingPoint, operands.allSatisfy({ $0.dtype == query.dtype }) else {
      throw OperatorError(
        .dtype, target.name,
        "query, key and value must have one floating-point dtype, got \(operands.map(\.dtype.description).joined(separator: ", "))"
      )
    }
    guard operands.allSatisfy({ $0.rank == 4 }), key.sizes == operands[2].sizes, query.sizes[0] == key.sizes[0],
      query.sizes[3] == key.sizes[3], query.servesHeads(of: key)
    else {
      throw OperatorError(
        .shape, target.name,
        "needs query [B, H, L, E], key and value [B, G, S, E], H a multiple of G, got sizes \(operands.map(\.sizes))")
    }
    guard try double(dropoutAt) == 0 else { throw mismatch(dropoutAt, "0: it does not drop") }
    guard let mask = try optionalTensor(maskAt) else { return }
    guard mask.dtype == query.dtype || mask.dtype == .float32 else {
      throw OperatorError(
        .dtype, target.name, "'attn_mask' must be float32 or of the query's type \(query.dtype), got \(mask.dtype)")
    }
    let scores = [query.sizes[0], query.sizes[1], query.sizes[2], key.sizes[2]]
    guard mask.rank == 2 || mask.rank == 4, try target.broadcast([mask.sizes, scores]) == scores else {
      throw OperatorError(
        .shape, target.name, "'attn_mask' must have 2 or 4 dimensions and broadcast to \(scores), got \(mask.sizes)")
    }
  }
}

extension Tensor {
  /// Whether this query's heads are as many as the key's, or a multiple.
  func servesHeads(of key: Tensor) -> Bool {
    let (heads, groups) = (shape[rank - 3], key.shape[key.rank - 3])
    return heads == groups || (heads > 0 && groups > 0 && heads % groups == 0)
  }
}
