import Modules

/// A byte-level transformer in the manner of GPT-2: learned positions, normalization before each part, causal attention,
/// one matrix for bytes coming in and going out.
final class GPT: Module {
  struct Size: Sendable {
    /// The longest sequence, in bytes.
    var context = 64
    var width = 128
    var headCount = 4
    var layerCount = 4
  }

  static let vocabulary = 256

  let bytes: Embedding
  /// f32[context, width]
  @Parameter var positions: Tensor
  let blocks: [Block]
  let norm: LayerNorm

  /// Matrices are normal; those of embeddings with a deviation of 0.02.
  init(_ size: Size = Size()) throws {
    bytes = try Embedding(Self.vocabulary, size.width)
    try Initializer.normal(std: 0.02).fill(bytes.weight)
    positions = try Initializer.normal(std: 0.02)([size.context, size.width])
    blocks = try (0..<size.layerCount).map { _ in try Block(size) }
    norm = try LayerNorm(size.width)
  }

  /// - Parameter input: i64[n, length], bytes; `length` is at most the context.
  /// - Returns: f32[n, length, 256], the logits of the byte after each.
  func callAsFunction(_ input: Tensor) throws -> Tensor {
    var x = try bytes(input) + positions.narrow(0, from: 0, length: input.shape[1])
    for block in blocks { x = try block(x) }
    return try norm(x).linear(bytes.weight)
  }

  /// The mean cross-entropy of the bytes that follow, in nats: f32[].
  ///
  /// - Parameters: Both i64[n, length].
  func loss(_ input: Tensor, _ targets: Tensor) throws -> Tensor {
    try self(input).flatten(from: 0, to: 1).crossEntropyLoss(targets.flatten())
  }
}

/// One layer of a transformer: attention, then two linear layers with GELU between, each added to what came in.
final class Block: Module, Layer {
  let attentionNorm: LayerNorm
  let attention: MultiheadAttention
  let feedForwardNorm: LayerNorm
  let expansion, contraction: Linear

  init(_ size: GPT.Size) throws {
    attentionNorm = try LayerNorm(size.width)
    attention = try MultiheadAttention(size.width, heads: size.headCount, batchFirst: true)
    feedForwardNorm = try LayerNorm(size.width)
    expansion = try Linear(size.width, 4 * size.width)
    contraction = try Linear(4 * size.width, size.width)
    super.init()
    // What is added to the residual stream is scaled down so that its variance does not grow with depth.
    let residualGain = (1 / Double(2 * size.layerCount)).squareRoot()
    for (weight, gain) in [
      (attention.inProjWeight, 1), (attention.outProj.weight, residualGain), (expansion.weight, 1),
      (contraction.weight, residualGain),
    ] {
      try Initializer.normal(std: gain / Double(weight.shape[1]).squareRoot()).fill(weight)
    }
    for bias in [expansion.bias, contraction.bias] { if let bias { try Initializer.zeros.fill(bias) } }
  }

  func callAsFunction(_ input: Tensor) throws -> Tensor {
    let x = try input + attention(attentionNorm(input), isCausal: true)
    return try x + contraction(expansion(feedForwardNorm(x)).gelu(approximate: .tanh))
  }
}
