import AOTAutograd

/// A byte-level transformer in the manner of GPT-2: learned positions, normalization before each part, causal attention,
/// one matrix for bytes coming in and going out.
struct GPT: TensorTree {
  struct Size: Sendable {
    /// The longest sequence, in bytes.
    var context = 64
    var width = 128
    var headCount = 4
    var layerCount = 4
  }

  static let vocabulary = 256

  /// f32[256, width]
  var bytes: Tensor
  /// f32[context, width]
  var positions: Tensor
  var blocks: [Block]
  var norm: LayerNorm

  /// - Parameter input: i64[n, length], bytes; `length` is at most the context.
  /// - Returns: f32[n, length, 256], the logits of the byte after each.
  func callAsFunction(_ input: Tensor) throws -> Tensor {
    var x = try bytes.embedding(input) + positions.narrow(0, from: 0, length: input.shape[1])
    for block in blocks { x = try block(x) }
    return try norm(x).matmul(bytes.t())
  }

  /// The mean cross-entropy of the bytes that follow, in nats: f32[].
  ///
  /// - Parameters: Both i64[n, length].
  func loss(_ input: Tensor, _ targets: Tensor) throws -> Tensor {
    try self(input).flatten(from: 0, to: 1).crossEntropyLoss(targets.flatten())
  }

  func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> GPT {
    try GPT(
      bytes: transform(bytes), positions: transform(positions), blocks: blocks.mapTensors(transform),
      norm: norm.mapTensors(transform))
  }
}

extension GPT {
  init(_ size: Size = Size(), from random: inout SeededRandom) throws {
    bytes = try .normal([Self.vocabulary, size.width], deviation: 0.02, from: &random)
    positions = try .normal([size.context, size.width], deviation: 0.02, from: &random)
    blocks = []
    for _ in 0..<size.layerCount { blocks.append(try Block(size, from: &random)) }
    norm = try LayerNorm(size.width)
  }
}

/// One layer of a transformer: attention, then two linear layers with GELU between, each added to what came in.
struct Block: TensorTree {
  var attentionNorm: LayerNorm
  var attention: CausalAttention
  var feedForwardNorm: LayerNorm
  var expansion, contraction: Linear

  func callAsFunction(_ input: Tensor) throws -> Tensor {
    let x = try input + attention(attentionNorm(input))
    return try x + contraction(expansion(feedForwardNorm(x)).gelu(approximate: .tanh))
  }

  func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> Block {
    try Block(
      attentionNorm: attentionNorm.mapTensors(transform), attention: attention.mapTensors(transform),
      feedForwardNorm: feedForwardNorm.mapTensors(transform), expansion: expansion.mapTensors(transform),
      contraction: contraction.mapTensors(transform))
  }
}

extension Block {
  init(_ size: GPT.Size, from random: inout SeededRandom) throws {
    // What is added to the residual stream is scaled down so that its variance does not grow with depth.
    let residualGain = (1 / Double(2 * size.layerCount)).squareRoot()
    attentionNorm = try LayerNorm(size.width)
    attention = try CausalAttention(size, outputGain: residualGain, from: &random)
    feedForwardNorm = try LayerNorm(size.width)
    expansion = try Linear(size.width, 4 * size.width, from: &random)
    contraction = try Linear(4 * size.width, size.width, gain: residualGain, from: &random)
  }
}

/// Attention of several heads in which each position sees itself and those before it.
struct CausalAttention: TensorTree {
  var headCount: Int
  /// Queries, keys and values in one.
  var input: Linear
  var output: Linear

  func callAsFunction(_ x: Tensor) throws -> Tensor {
    let (count, length, width) = (x.shape[0], x.shape[1], x.shape[2])
    let heads = try input(x).view([count, length, 3, headCount, width / headCount]).permute([2, 0, 3, 1, 4])
    let (queries, keys, values) = (try heads.select(0, 0), try heads.select(0, 1), try heads.select(0, 2))
    let scale = 1 / Double(width / headCount).squareRoot()
    let scores = try queries.matmul(keys.transpose(-2, -1)) * scale
    let weights = try scores.maskedFill(future(length), -Double.infinity).softmax(-1)
    return try output(weights.matmul(values).transpose(1, 2).reshape([count, length, width]))
  }

  /// Where a position (row) may not see another (column): bool[length, length].
  private func future(_ length: Int) throws -> Tensor {
    let places = try Tensor.arange(length)
    return try places.unsqueeze(0).gt(places.unsqueeze(1))
  }

  func mapTensors(_ transform: (Tensor) throws -> Tensor) rethrows -> CausalAttention {
    try CausalAttention(
      headCount: headCount, input: input.mapTensors(transform), output: output.mapTensors(transform))
  }
}

extension CausalAttention {
  init(_ size: GPT.Size, outputGain: Double, from random: inout SeededRandom) throws {
    headCount = size.headCount
    input = try Linear(size.width, 3 * size.width, from: &random)
    output = try Linear(size.width, size.width, gain: outputGain, from: &random)
  }
}
