import GraphIR
import TensorCore

extension OperatorLibrary {
  static let embeddingRenormalizations = [embeddingRenorm]

  /// Scales the rows that indices name down to a norm, in place, where theirs is larger.
  public static let embeddingRenorm = OperatorDefinition(
    "embedding_renorm_(Tensor(a!) self, Tensor indices, float max_norm, float norm_type) -> Tensor(a!)",
    .composite { call in
      let (weight, indices, limit) = (try call.tensor(0), try call.tensor(1), try call.double(2))
      guard weight.rank == 2 else {
        throw OperatorError(.shape, call.target.name, "needs rows, got sizes \(weight.sizes)")
      }
      let norms = try vectorNorm(.reference(weight), .double(call.double(3)), Value([1]), .bool(true))
      let rows = try indices.reshape([-1])
      let isNamed = try norms.zerosLike().indexFill(0, rows, 1).ne(0)
      let scale = try isNamed.logicalAnd(norms.gt(limit)).selecting(limit / (norms + 1e-7), norms.onesLike())
      return .reference(try weight.copy_(weight * scale))
    })
}
