import GraphIR
import TensorCore

/// Losses of how close or far inputs are from each other.
extension OperatorLibrary {
  static let rankingLosses = [marginRankingLoss, cosineEmbeddingLoss, tripletMarginLoss]

  /// What `input1` is missing to be the margin above (targets 1) or below (targets -1) `input2`, reduced.
  public static let marginRankingLoss = OperatorDefinition(
    """
    margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float margin=0., int reduction=1) -> Tensor
    """,
    .composite { call in
      let missing = try -call.tensor(2) * (call.tensor(0) - call.tensor(1)) + call.scalar(3)
      return .reference(try missing.clampMin(0).reduced(call.lossReduction(4)))
    })

  /// One minus the cosine of two vectors for a target 1, what it exceeds the margin by for a target -1. Reduced.
  public static let cosineEmbeddingLoss = OperatorDefinition(
    """
    cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float margin=0., int reduction=1) -> Tensor
    """,
    .composite { call in
      let (a, b, target) = (try call.tensor(0), try call.tensor(1), try call.tensor(2))
      guard target.rank < 2, a.rank == target.rank + 1, b.rank == target.rank + 1 else {
        throw OperatorError(
          .shape, call.target.name,
          "needs inputs [N, D] with targets [N], or [D] with []; got \(a.sizes), \(b.sizes) and \(target.sizes)")
      }
      func sum(_ products: Tensor) throws -> Tensor { try products.sum([target.rank]) }
      let magnitudes = try (sum(a * a) + smallestMagnitude) * (sum(b * b) + smallestMagnitude)
      let cosine = try sum(a * b) / magnitudes.sqrt()
      let zeros = try cosine.zerosLike()
      let positives = try target.eq(1).selecting(1 - cosine, zeros)
      let negatives = try target.eq(-1).selecting((cosine - call.scalar(3)).clampMin(0), zeros)
      return .reference(try (positives + negatives).reduced(call.lossReduction(4)))
    })

  /// What the negative is missing to be the margin farther from the anchor than the positive is, reduced. With `swap`, the
  /// negative's distance is that to the positive, where it is nearer to that.
  public static let tripletMarginLoss = OperatorDefinition(
    """
    triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, float margin=1., float p=2., \
    float eps=9.9999999999999995e-07, bool swap=False, int reduction=1) -> Tensor
    """,
    .composite { call in
      let (anchor, positive, negative) = (try call.tensor(0), try call.tensor(1), try call.tensor(2))
      guard anchor.rank == positive.rank, anchor.rank == negative.rank else {
        throw OperatorError(
          .shape, call.target.name,
          "needs inputs of one rank, got \(anchor.sizes), \(positive.sizes) and \(negative.sizes)")
      }
      func distance(_ a: Tensor, _ b: Tensor) throws -> Tensor {
        try pairwiseDistance(.reference(a), .reference(b), call.arguments[4], call.arguments[5])
      }
      let near = try distance(anchor, positive)
      var far = try distance(anchor, negative)
      if try call.bool(6) { far = try far.minimum(distance(positive, negative)) }
      return .reference(try (near + call.scalar(3) - far).clampMin(0).reduced(call.lossReduction(7)))
    })

  private static let smallestMagnitude = 1e-12
}

extension Tensor {
  /// What this tensor is missing to be the margin above (targets 1) or below (targets -1) `other`.
  public func marginRankingLoss(
    _ other: Tensor, _ target: Tensor, margin: Double = 0, reduction: LossReduction = .mean
  ) throws -> Tensor {
    try OperatorLibrary.marginRankingLoss(
      .reference(self), .reference(other), .reference(target), .double(margin), Value(reduction.rawValue))
  }

  /// One minus the cosine of two vectors for a target 1, what it exceeds the margin by for a target -1.
  public func cosineEmbeddingLoss(
    _ other: Tensor, _ target: Tensor, margin: Double = 0, reduction: LossReduction = .mean
  ) throws -> Tensor {
    try OperatorLibrary.cosineEmbeddingLoss(
      .reference(self), .reference(other), .reference(target), .double(margin), Value(reduction.rawValue))
  }

  /// What the negative is missing to be the margin farther from this anchor than the positive is.
  public func tripletMarginLoss(
    positive: Tensor, negative: Tensor, margin: Double = 1, p: Double = 2, eps: Double = 1e-6, swap: Bool = false,
    reduction: LossReduction = .mean
  ) throws -> Tensor {
    try OperatorLibrary.tripletMarginLoss(
      .reference(self), .reference(positive), .reference(negative), .double(margin), .double(p), .double(eps),
      .bool(swap), Value(reduction.rawValue))
  }
}
