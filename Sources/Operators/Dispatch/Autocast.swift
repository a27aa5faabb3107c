import GraphIR
import TensorCore

/// What `autocast` does with the floating-point arguments of each operator.
///
/// The lists follow PyTorch's: https://docs.pytorch.org/docs/stable/amp.html#cpu-op-specific-behavior
enum Autocast {
  private enum Policy { case lower, single, widest }

  private static let policies: [String: Policy] = {
    var policies: [String: Policy] = [:]
    func add(_ policy: Policy, _ names: String) {
      for name in names.split(whereSeparator: \.isWhitespace) { policies[String(name)] = policy }
    }
    add(
      .lower,
      """
      mm bmm addmm addbmm baddbmm mv addmv addr matmul linear dot vdot chain_matmul convolution conv1d conv2d conv3d
      conv_transpose1d conv_transpose2d conv_transpose3d scaled_dot_product_attention lstm_cell gru_cell rnn_tanh_cell
      rnn_relu_cell
      """)
    add(
      .single,
      """
      acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow softplus layer_norm
      native_layer_norm group_norm native_group_norm norm nuclear_norm cosine_similarity poisson_nll_loss
      cosine_embedding_loss nll_loss nll_loss2d hinge_embedding_loss kl_div l1_loss smooth_l1_loss huber_loss mse_loss
      margin_ranking_loss multilabel_margin_loss soft_margin_loss triplet_margin_loss multi_margin_loss
      binary_cross_entropy binary_cross_entropy_with_logits cross_entropy_loss dist pdist cdist renorm logsumexp softmax
      log_softmax _softmax _log_softmax cumprod cumsum prod sum grid_sampler linalg_vector_norm
      """)
    add(.widest, "cat stack addcdiv addcmul atan2 bilinear cross index_put scatter_add where")
    return policies
  }()

  /// The arguments of a call as `autocast` wants them.
  static func cast(_ call: OperatorCall, to dtype: DType) throws -> [Value] {
    guard !call.target.mutates, let policy = policies[call.target.name.base], call.target.name.namespace == "aten"
    else { return call.arguments }
    let wanted: DType
    switch policy {
    case .lower: wanted = dtype
    case .single: wanted = .float32
    case .widest:
      let types = Set(call.allTensors.map(\.dtype).filter(\.isAutocast))
      guard types.count > 1 else { return call.arguments }
      wanted = types.contains(.float32) ? .float32 : dtype
    }
    return try call.arguments.map { argument in
      try argument.map { tensor in
        guard tensor.dtype.isAutocast, tensor.dtype != wanted else { return .reference(tensor) }
        return .reference(try tensor.to(wanted))
      }
    }
  }
}

extension DType {
  /// Whether `autocast` changes tensors of this type.
  fileprivate var isAutocast: Bool { self == .float32 || self == .float16 || self == .bfloat16 }
}

/// Runs `body` with operators that gain by it, such as matrix products and convolutions, computing in a type of less
/// precision, and those that need it, such as norms and losses, in single precision. Casts are calls that autograd and capture
/// see.
///
/// - Parameters:
///   - dtype: `float16` or `bfloat16`; nil switches it off inside of another `autocast`.
public func autocast<Result, Failure: Error>(
  _ dtype: DType? = .bfloat16, _ body: () throws(Failure) -> Result
) throws(Failure) -> Result {
  let context = DispatchContext.current
  let saved = context.autocastDType
  context.autocastDType = dtype
  defer { context.autocastDType = saved }
  return try body()
}
