import AOTAutograd

/// One block of a transformer: attention, then two linear layers, each added to what came in and normalized:
/// `torch.nn.TransformerEncoderLayer`. With `isCausal` it is the block of a language model.
public final class TransformerEncoderLayer: Module, Layer {
  /// What stands between the two linear layers.
  public enum Activation: Sendable { case relu, gelu }

  public let selfAttn: MultiheadAttention
  public let linear1: Linear
  public let dropout: Dropout
  public let linear2: Linear
  public let norm1, norm2: LayerNorm
  public let dropout1, dropout2: Dropout

  public let activation: Activation
  /// Whether normalization comes before attention and linear layers rather than after the sums.
  public let normFirst: Bool

  /// - Throws: `ModuleError` for sizes that make no sense.
  public init(
    _ width: Int, heads: Int, feedForward: Int = 2048, dropout: Double = 0.1, activation: Activation = .relu,
    eps: Double = 1e-5, batchFirst: Bool = false, normFirst: Bool = false, bias: Bool = true, dtype: DType = .float32
  ) throws {
    selfAttn = try MultiheadAttention(
      width, heads: heads, dropout: dropout, bias: bias, batchFirst: batchFirst, dtype: dtype)
    linear1 = try Linear(width, feedForward, bias: bias, dtype: dtype)
    self.dropout = try Dropout(dropout)
    linear2 = try Linear(feedForward, width, bias: bias, dtype: dtype)
    norm1 = try LayerNorm(width, eps: eps, bias: bias, dtype: dtype)
    norm2 = try LayerNorm(width, eps: eps, bias: bias, dtype: dtype)
    dropout1 = try Dropout(dropout)
    dropout2 = try Dropout(dropout)
    self.activation = activation
    self.normFirst = normFirst
  }

  public func callAsFunction(_ input: Tensor) throws -> Tensor { try self(input, mask: nil) }

  /// - Parameters: As of `MultiheadAttention`.
  /// - Returns: The shape of `input`.
  public func callAsFunction(
    _ input: Tensor, mask: Tensor?, keyPaddingMask: Tensor? = nil, isCausal: Bool = false
  ) throws -> Tensor {
    func attention(_ x: Tensor) throws -> Tensor {
      try dropout1(selfAttn(x, mask: mask, keyPaddingMask: keyPaddingMask, isCausal: isCausal))
    }
    if normFirst {
      let x = try input + attention(norm1(input))
      return try x + feedForward(norm2(x))
    }
    let x = try norm1(input + attention(input))
    return try norm2(x + feedForward(x))
  }

  private func feedForward(_ x: Tensor) throws -> Tensor {
    let hidden = try linear1(x)
    return try dropout2(linear2(dropout(activation == .relu ? hidden.relu() : hidden.gelu())))
  }

  public override var settings: String { "activation: \(activation), normFirst: \(normFirst)" }
}

/// Blocks one after the other: `torch.nn.TransformerEncoder`.
public final class TransformerEncoder: Module, Layer {
  public let layers: [TransformerEncoderLayer]
  public let norm: LayerNorm?

  /// - Parameter norm: Normalizes the result.
  public init(_ layers: [TransformerEncoderLayer], norm: LayerNorm? = nil) {
    self.layers = layers
    self.norm = norm
  }

  public func callAsFunction(_ input: Tensor) throws -> Tensor { try self(input, mask: nil) }

  /// - Parameters: As of `MultiheadAttention`.
  public func callAsFunction(
    _ input: Tensor, mask: Tensor?, keyPaddingMask: Tensor? = nil, isCausal: Bool = false
  ) throws -> Tensor {
    let output = try layers.reduce(input) {
      try $1($0, mask: mask, keyPaddingMask: keyPaddingMask, isCausal: isCausal)
    }
    return try norm?(output) ?? output
  }
}
