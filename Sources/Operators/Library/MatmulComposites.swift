import GraphIR
import TensorCore

// Products of tensors of any rank, through the primitives.
extension OperatorLibrary {
  static let matmulComposites = [matmul, linear]

  /// The product of vectors, matrices or batches of matrices, batch dimensions broadcast.
  public static let matmul = OperatorDefinition(
    "matmul(Tensor self, Tensor other) -> Tensor",
    .composite { call in .reference(try product(call.tensor(0), call.tensor(1), call)) })

  /// input @ weightᵀ + bias: [..., in], [out, in], [out] → [..., out]
  public static let linear = OperatorDefinition(
    "linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
    .composite { call in
      let (input, weight) = (try call.tensor(0), try call.tensor(1))
      guard weight.rank == 1 || weight.rank == 2, input.rank > 0, input.sizes.last == weight.sizes.last else {
        throw OperatorError(
          .shape, call.target.name,
          "needs input [..., in] and weight [out, in], got sizes \(input.sizes) and \(weight.sizes)")
      }
      guard let bias = try call.optionalTensor(2) else { return .reference(try input.matmul(weight.t())) }
      guard weight.rank == 2 else {
        throw OperatorError(.shape, call.target.name, "takes no bias with a weight of one dimension")
      }
      if input.rank == 2 { return .reference(try bias.addmm(input, weight.t())) }
      if input.rank > 2 && input.isContiguous {
        // One matrix product with the bias in it, rather than a product and an addition.
        let rows = try input.view(input.sizesAsMatrix)
        return .reference(try bias.addmm(rows, weight.t()).view(input.sizes.dropLast() + [weight.sizes[0]]))
      }
      return .reference(try input.matmul(weight.t()) + bias)
    })

  /// Picks the primitive that multiplies tensors of these ranks, as PyTorch does.
  private static func product(_ left: Tensor, _ right: Tensor, _ call: OperatorCall) throws -> Tensor {
    guard left.rank > 0, right.rank > 0 else {
      throw OperatorError(
        .shape, call.target.name, "operands need at least 1 dimension, got sizes \(left.sizes) and \(right.sizes)")
    }
    switch (left.rank, right.rank) {
    case (1, 1): return try left.dot(right)
    case (2, 1): return try left.mv(right)
    case (1, 2): return try left.unsqueeze(0).mm(right).squeeze(0)
    case (2, 2): return try left.mm(right)
    case (3..., ...2):
      // A batch times one matrix is one larger matrix times that matrix.
      let rows = try left.reshape(left.sizesAsMatrix)
      let isVector = right.rank == 1
      let sizes = left.sizes.dropLast() + (isVector ? [] : [right.sizes[1]])
      let product = try isVector ? rows.mv(right) : rows.mm(right)
      return try unsafeView(.reference(product), Value(Array(sizes)))
    case (1, _):
      return try product(left.unsqueeze(0), right, call).squeeze(right.rank - 2)
    default:
      let (m, k) = (left.sizes[left.rank - 2], left.sizes[left.rank - 1])
      let (k2, n) = (right.sizes[right.rank - 2], right.sizes[right.rank - 1])
      guard k == k2 else { throw call.sizesDoNotMatch(left, right) }
      let batch = try call.target.broadcast([left.sizes.dropLast(2), right.sizes.dropLast(2)])
      let count = batch.reduce(SymInt(1), *)
      let leftBatch = try left.expand(batch + [m, k]).reshape([count, m, k])
      let rightBatch = try right.expand(batch + [k, n]).reshape([count, k, n])
      return try unsafeView(.reference(leftBatch.bmm(rightBatch)), Value(batch + [m, n]))
    }
  }
}

extension Tensor {
  /// The sizes with all dimensions but the last merged.
  fileprivate var sizesAsMatrix: [SymInt] { [sizes.dropLast().reduce(1, *), sizes[rank - 1]] }

  /// The product of vectors, matrices or batches of matrices, batch dimensions broadcast.
  public func matmul(_ other: Tensor) throws -> Tensor {
    try OperatorLibrary.matmul(.reference(self), .reference(other))
  }

  /// self @ weightᵀ + bias: [..., in], [out, in], [out] → [..., out]
  public func linear(_ weight: Tensor, bias: Tensor? = nil) throws -> Tensor {
    try OperatorLibrary.linear(.reference(self), .reference(weight), bias.map { .reference($0) } ?? .none)
  }
}
