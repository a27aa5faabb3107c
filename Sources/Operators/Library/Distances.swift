import GraphIR
import TensorCore

/// How far vectors are from each other.
extension OperatorLibrary {
  static let distances = [cosineSimilarity, pairwiseDistance, cdist, pdist]

  /// The cosine of the angle between vectors along a dimension, whose norms count as at least `eps`.
  public static let cosineSimilarity = OperatorDefinition(
    "cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-08) -> Tensor",
    .composite { call in
      let inputs = [try call.tensor(0), try call.tensor(1)]
      var promotion = TypePromotion()
      for input in inputs { promotion.add(input.dtype, rank: input.rank) }
      guard let common = promotion.result, common.isFloatingPoint else {
        throw OperatorError(.dtype, call.target.name, "needs a floating-point operand")
      }
      let eps = try call.double(3)
      guard eps >= 0 else { throw call.mismatch(3, "at least 0") }
      let sizes = try call.target.broadcast(inputs.map(\.sizes))
      let dimension = try call.dimension(2, rank: sizes.count)
      let units = try inputs.map { input in
        let vectors = try (input.dtype.isFloatingPoint ? input : input.converted(to: common)).expand(sizes)
        let norm = try vectors.norm(2, [dimension], keepDimensions: true)
        // The limit is a number like the norm, not a constant: the gradient flows as if there were none.
        let limited = try norm.lt(eps).selecting(norm + (eps - norm).detach(), norm)
        return try vectors / limited
      }
      return .reference(try (units[0] * units[1]).sum([dimension]))
    })

  /// The p-norm of the difference of vectors along the last dimension, moved by `eps`.
  public static let pairwiseDistance = OperatorDefinition(
    "pairwise_distance(Tensor x1, Tensor x2, float p=2., float eps=9.9999999999999995e-07, bool keepdim=False) -> Tensor",
    .composite { call in
      let difference = try call.tensor(0) - call.tensor(1) + call.scalar(3)
      return .reference(try norm(.reference(difference), call.arguments[2], Value([-1]), call.arguments[4]))
    })

  /// The p-norm distance of each row of `x1` [P, M] from each of `x2` [R, M]: [P, R], batched over the dimensions before.
  /// `compute_mode` chooses between ways to the same result.
  public static let cdist = OperatorDefinition(
    "cdist(Tensor x1, Tensor x2, float p=2., int? compute_mode=None) -> Tensor",
    .composite { call in try cdistForward.evaluate(call.arguments) })

  /// The p-norm distances of the rows of a matrix [N, M] from each other: those above the diagonal of `cdist`, row by row.
  public static let pdist = OperatorDefinition(
    "pdist(Tensor self, float p=2.) -> Tensor",
    .composite { call in try pdistForward.evaluate([.reference(call.tensor(0).contiguous()), call.arguments[1]]) })
}

extension Tensor {
  /// The cosine of the angle between vectors along a dimension.
  public func cosineSimilarity(_ other: Tensor, dimension: Int = 1, eps: Double = 1e-8) throws -> Tensor {
    try OperatorLibrary.cosineSimilarity(.reference(self), .reference(other), Value(dimension), .double(eps))
  }

  /// The p-norm of the difference of vectors along the last dimension.
  public func pairwiseDistance(
    _ other: Tensor, p: Double = 2, eps: Double = 1e-6, keepDimensions: Bool = false
  ) throws -> Tensor {
    try OperatorLibrary.pairwiseDistance(
      .reference(self), .reference(other), .double(p), .double(eps), .bool(keepDimensions))
  }

  /// The p-norm distance of each row of this matrix from each of another one.
  public func cdist(_ other: Tensor, p: Double = 2) throws -> Tensor {
    try OperatorLibrary.cdist(.reference(self), .reference(other), .double(p))
  }

  /// The p-norm distances of this matrix's rows from each other, each pair once.
  public func pdist(p: Double = 2) throws -> Tensor { try OperatorLibrary.pdist(.reference(self), .double(p)) }
}
