import GraphIR
import TensorCore

extension OperatorLibrary {
  /// The gradient of `_embedding_bag` for its table.
  public static let embeddingBagBackward = OperatorDefinition(
    """
    _embedding_bag_backward(Tensor grad, Tensor indices, Tensor offsets, Tensor offset2bag, Tensor bag_size, \
    Tensor maximum_indices, SymInt num_weights, bool scale_grad_by_freq, int mode, bool sparse, \
    Tensor? per_sample_weights, int padding_idx=-1) -> Tensor
    """,
    .composite { call in
      let bags = try call.bagsOfIndices(indicesAt: 1, offsetsAt: 2, given: call.tensor(3))
      let arguments = call.arguments
      return .reference(
        try embeddingBagDenseBackward(
          [arguments[0], arguments[1], .reference(bags)] + arguments[4...8] + arguments[10...]))
    })

  /// The same where the bag of each index is known: each row of the table gets the gradients of the bags that it is in, or,
  /// of a maximum, of those that it won.
  public static let embeddingBagDenseBackward = OperatorDefinition.decomposed(
    """
    _embedding_bag_dense_backward(Tensor grad, Tensor indices, Tensor offset2bag, Tensor bag_size, \
    Tensor maximum_indices, SymInt num_weights, bool scale_grad_by_freq, int mode, Tensor? per_sample_weights, \
    int padding_idx=-1) -> Tensor
    """
  ) { call in
    let (gradient, indices) = (try call.tensor(0), try call.tensor(1).reshape([-1]))
    guard gradient.rank == 2 else {
      throw OperatorError(
        .shape, call.target.name, "argument 'grad' must have 2 dimensions, but has shape \(gradient.sizes)")
    }
    guard try call.bagMode(7) != .max else {
      let isEmpty = try call.tensor(3).eq(0).unsqueeze(1)
      let table = try gradient.newZeros([try call.int(5), gradient.shape[1]])
      return .reference(
        try table.scatterAdd(0, call.tensor(4).converted(to: .int64), gradient.maskedFill(isEmpty, 0)))
    }
    let rows = try gradient.indexSelect(0, call.tensor(2)) * call.factorOfIndices(gradient)
    return .reference(
      try embeddingDenseBackward(
        .reference(rows.converted(to: gradient.dtype)), .reference(indices), call.arguments[5], call.arguments[9],
        call.arguments[6]))
  }
  .derivative(
    of: "grad", "per_sample_weights",
    saving: ["grad", "indices", "offset2bag", "bag_size", "maximum_indices", "per_sample_weights"]
  ) { d -> [Value] in
    guard try !d.call.bool(6) else {
      throw OperatorError(.notDifferentiable, d.call.target.name, "has no derivative where it is scaled by frequency")
    }
    let (gradient, bags) = (try d.tensor("grad"), try d.tensor("offset2bag"))
    if try d.call.bagMode(7) == .max {
      let isEmpty = try d.tensor("bag_size").eq(0).unsqueeze(1)
      let won = try d.gradient.gather(0, d.tensor("maximum_indices").converted(to: .int64))
      return [.reference(try won.maskedFill(isEmpty, 0)), .none]
    }
    let indices = try d.tensor("indices").reshape([-1])
    let rows = try d.gradient.embedding(indices).withoutPadding(indices, d.call.int(9))
    let folded = try gradient.newZeros(gradient.sizes).indexPut(
      [bags], (rows * d.call.factorOfIndices(gradient)).converted(to: gradient.dtype), accumulate: true)
    return [.reference(folded), .reference(try (rows * gradient.indexSelect(0, bags)).sum([1]))]
  }

  /// The gradient of `_embedding_bag` for the weights of the single indices.
  public static let embeddingBagWeightsBackward = OperatorDefinition.decomposed(
    """
    _embedding_bag_per_sample_weights_backward(Tensor grad, Tensor weight, Tensor indices, Tensor offsets, \
    Tensor offset2bag, int mode, int padding_idx=-1) -> Tensor
    """
  ) { call in
    guard try call.bagMode(5) == .sum else { throw call.mismatch(5, "0 (sum)") }
    let indices = try call.tensor(2).reshape([-1])
    let bags = try call.bagsOfIndices(indicesAt: 2, offsetsAt: 3, given: call.tensor(4))
    let products = try call.tensor(0).indexSelect(0, bags) * call.tensor(1).embedding(indices)
    return .reference(try products.sum([1]).withoutPadding(indices, call.int(6)))
  }
  .derivative(
    of: "grad", "weight", saving: ["grad", "weight", "indices", "offsets", "offset2bag"]
  ) { d -> [Value] in
    let indices = try d.tensor("indices").reshape([-1])
    let bags = try d.call.bagsOfIndices(indicesAt: 2, offsetsAt: 3, given: d.tensor("offset2bag"))
    let (gradient, weight) = (try d.tensor("grad"), try d.tensor("weight"))
    let scale = try d.gradient.withoutPadding(indices, d.call.int(6)).unsqueeze(1)
    let toGradient = try gradient.newZeros(gradient.sizes).indexPut(
      [bags], scale * weight.embedding(indices), accumulate: true)
    let toWeight = try weight.newZeros(weight.sizes).indexPut(
      [indices], scale * gradient.indexSelect(0, bags), accumulate: true)
    return [.reference(toGradient), .reference(toWeight)]
  }
}

extension Call where Reference == Tensor {
  /// The bag that each index is in: what was `given`, or found out from where bags start.
  func bagsOfIndices(indicesAt: Int, offsetsAt: Int, given: Tensor) throws -> Tensor {
    let count = try tensor(indicesAt).shape.reduce(1, *)
    if given.shape == [count] { return given }
    let offsets = try tensor(offsetsAt).converted(to: .int64)
    let starts = try offsets.newZeros([count + 1]).indexPut([offsets], offsets.newOnes([1]), accumulate: true)
    return try starts.narrow(0, from: 0, length: count).cumsum(0) - 1
  }

  /// What the gradient of its bag is multiplied by for each index, [indices, 1] or a number.
  fileprivate func factorOfIndices(_ gradient: Tensor) throws -> Tensor {
    if let samples = try optionalTensor(8) { return try samples.unsqueeze(1) }
    guard try bagMode(7) == .mean else { return try gradient.newOnes([Int]()) }
    let sizes = try tensor(3).indexSelect(0, tensor(2)).converted(to: gradient.dtype.accumulator)
    return try sizes.unsqueeze(1).clamp(min: .int(1)).reciprocal()
  }
}

extension Tensor {
  /// Elements, or rows, that belong to an index which counts as not there, made 0.
  fileprivate func withoutPadding(_ indices: Tensor, _ padding: Int) throws -> Tensor {
    guard padding >= 0 else { return self }
    let isPadding = try indices.eq(padding)
    return try maskedFill(rank > 1 ? isPadding.unsqueeze(1) : isPadding, 0)
  }
}
