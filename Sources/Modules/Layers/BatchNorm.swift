import AOTAutograd

/// What batch normalizations have in common: each channel is brought to mean 0 and variance 1, then scaled and shifted.
///
/// In training, by the statistics of the batch, which also move the running ones; otherwise by the running ones.
public class BatchNorm: Module, Layer {
  /// [channels], 1 at first
  @Parameter public final var weight: Tensor?
  /// [channels], 0 at first
  @Parameter public final var bias: Tensor?
  /// [channels], 0 at first
  @Buffer public final var runningMean: Tensor?
  /// [channels], 1 at first
  @Buffer public final var runningVar: Tensor?
  /// i64[], how many batches have moved the running statistics.
  @Buffer public final var numBatchesTracked: Tensor?

  public let channelCount: Int
  public let eps: Double
  public let momentum: Double

  /// - Parameters:
  ///   - eps: Added to the variance.
  ///   - momentum: The share of the batch's statistics in the new running ones.
  ///   - affine: Whether there are a weight and a bias.
  ///   - trackRunningStats: Whether there are running statistics; without them the batch's are always used.
  /// - Throws: `ModuleError` where there are no channels.
  public init(
    _ channels: Int, eps: Double = 1e-5, momentum: Double = 0.1, affine: Bool = true, trackRunningStats: Bool = true,
    dtype: DType = .float32
  ) throws {
    let initial = try Tensor.empty(sizes: [channels], of: "BatchNorm", dtype).fill_(0)
    channelCount = channels
    self.eps = eps
    self.momentum = momentum
    weight = affine ? try initial.onesLike() : nil
    bias = affine ? initial : nil
    runningMean = trackRunningStats ? try initial.zerosLike() : nil
    runningVar = trackRunningStats ? try initial.onesLike() : nil
    numBatchesTracked = trackRunningStats ? try Tensor.zeros([], dtype: .int64) : nil
  }

  /// The ranks of the inputs that the layer is for.
  fileprivate class var ranks: ClosedRange<Int> { 2...5 }

  /// - Parameter input: [n, channels, …]
  /// - Returns: The same shape.
  public final func callAsFunction(_ input: Tensor) throws -> Tensor {
    guard Self.ranks.contains(input.rank), input.shape[1] == channelCount else {
      throw ModuleError(
        .shapeMismatch,
        "\(type(of: self)) of \(channelCount) channels takes \(Self.ranks.lowerBound) to \(Self.ranks.upperBound) dimensions, "
          + "the second of them the channels; the input has shape \(input.shape)")
    }
    if isTraining, let numBatchesTracked { _ = try noGrad { try numBatchesTracked.add_(1) } }
    return try input.batchNorm(
      weight: weight, bias: bias, runningMean: runningMean, runningVariance: runningVar,
      isTraining: isTraining || runningMean == nil, momentum: momentum, eps: eps)
  }

  public final override var settings: String {
    "\(channelCount), eps: \(eps), momentum: \(momentum), affine: \(weight != nil), "
      + "trackRunningStats: \(runningMean != nil)"
  }
}

/// Batch normalization of [n, channels] or [n, channels, length]: `torch.nn.BatchNorm1d`.
public final class BatchNorm1d: BatchNorm {
  fileprivate override class var ranks: ClosedRange<Int> { 2...3 }
}

/// Batch normalization of [n, channels, height, width]: `torch.nn.BatchNorm2d`.
public final class BatchNorm2d: BatchNorm {
  fileprivate override class var ranks: ClosedRange<Int> { 4...4 }
}
