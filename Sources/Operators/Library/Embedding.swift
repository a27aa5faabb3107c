import GraphIR
import LoopIR
import TensorCore

// Rows of a table, looked up by index.
extension OperatorLibrary {
  static let embeddings = [embedding, embeddingDenseBackward, oneHot]

  /// The row of `weight` for each index: [n, d], indices [...] → [..., d]. The gradient leaves out the row `padding_idx`.
  public static let embedding: OperatorDefinition = OperatorDefinition(
    """
    embedding(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, \
    bool sparse=False) -> Tensor
    """, traits: .checksElements,
    .kernel(
      shape: { call in
        let (weight, indices) = (try call.tensor(0), try call.tensor(1))
        guard weight.rank == 2 else {
          throw OperatorError(.shape, call.target.name, "'weight' must have 2 dimensions, got sizes \(weight.sizes)")
        }
        try call.checkIndex(1, allows: [.int64, .int32])
        return [TensorMeta(dtype: weight.dtype, sizes: indices.sizes + [weight.sizes[1]], device: weight.device)]
      },
      lowering: { call, results, builder in
        let (row, index) = try call.reference(0).row(at: call.reference(1))
        builder.gather(row, at: [index], to: results[0])
      })
  )
  .derivative(of: "weight", saving: ["indices"]) { d in
    try embeddingDenseBackward(
      .reference(d.gradient), d["indices"], .int(d.sizes("weight")[0]), d["padding_idx"], d["scale_grad_by_freq"])
  }

  /// Each row the sum of the gradients that belong to it.
  public static let embeddingDenseBackward: OperatorDefinition = OperatorDefinition(
    """
    embedding_dense_backward(Tensor grad_output, Tensor indices, SymInt num_weights, SymInt padding_idx, \
    bool scale_grad_by_freq) -> Tensor
    """,
    .kernel(
      shape: { call in
        let (gradient, indices) = (try call.tensor(0), try call.tensor(1))
        try call.checkIndex(1, allows: [.int64, .int32])
        guard let width = gradient.sizes.last, gradient.sizes.dropLast() == indices.sizes[...] else {
          throw OperatorError(
            .shape, call.target.name,
            "'grad_output' must have the sizes \(indices.sizes) of 'indices' and one more, got \(gradient.sizes)")
        }
        return [TensorMeta(dtype: gradient.dtype, sizes: [SymInt(try call.int(2)), width], device: gradient.device)]
      },
      lowering: { call, results, builder in
        let (gradient, indices) = (try call.reference(0), try call.reference(1))
        let (count, padding) = (try call.int(2), try call.int(3))
        let isScaled = try call.bool(4)
        try builder.accumulate(in: results[0]) { sum, builder in
          var frequencies: Operand?
          if isScaled {
            let counts = builder.temporary(.float32, [count, 1])
            builder.fill(counts, 0)
            let (row, index) = try counts.row(at: indices)
            builder.scatter(.number(1), to: row, at: [index], mode: .accumulate)
            frequencies = counts
          }
          let (row, index) = try sum.row(at: indices)
          builder.scatter(.operand(gradient), to: row, at: [index], mode: .accumulate) { element, indices in
            padding < 0
              ? element : LoopIR.select(.cast(.int64, indices[0]) .== .constant(.int(padding)), 0, element)
          }
          if let frequencies {
            builder.pointwise([sum, frequencies], to: sum) { x in
              x[0] / .cast(sum.dtype, .binary(.maximum, x[1], 1))
            }
          }
        }
      })
  )
  .derivative(of: "grad_output", saving: ["indices"]) { d in
    guard try !d.call.bool(4) else {
      throw OperatorError(.notDifferentiable, d.call.target.name, "has no derivative where it is scaled by frequency")
    }
    let gradient = try embedding(.reference(d.gradient), d["indices"])
    let padding = try d.call.int(3)
    guard padding >= 0 else { return gradient }
    return try gradient.maskedFill(d.tensor("indices").eq(padding).unsqueeze(-1), 0)
  }

  /// 1 at the place that each index names, in a new last dimension of `num_classes`, and 0 elsewhere.
  public static let oneHot = OperatorDefinition(
    "one_hot(Tensor self, int num_classes=-1) -> Tensor",
    .composite { call in
      let input = try call.tensor(0)
      guard input.dtype == .int64 else {
        throw OperatorError(.dtype, call.target.name, "needs indices of dtype int64, got \(input.dtype)")
      }
      var count = try call.int(1)
      if count == -1 && !input.layout.isEmpty {
        // Reads the largest index, which a captured function cannot.
        count = try input.amax().item().intValue + 1
      }
      guard count > 0 else {
        throw OperatorError(.argument, call.target.name, "argument 'num_classes' must be positive, got \(count)")
      }
      let zeros = try input.newZeros(input.sizes + [SymInt(count)])
      return .reference(try scatterValue(.reference(zeros), .int(-1), .reference(input.unsqueeze(-1)), .int(1)))
    })
}

extension Operand {
  /// The row of a table at each index, with the sizes of the indices and of a row.
  fileprivate func row(at indices: Operand) throws -> (place: Operand, index: IndexOperand) {
    let place = viewed(
      as: indices.sizes + [sizes[1]], strides: indices.sizes.map { _ in 0 } + [strides[1]], offset: offset)
    let wide = indices.viewed(as: place.sizes, strides: indices.strides + [0], offset: indices.offset)
    return (place, IndexOperand(indices: wide, size: sizes[0], stride: strides[0]))
  }
}

extension Tensor {
  /// The row of this table for each index: [n, d], indices [...] → [..., d].
  public func embedding(_ indices: Tensor, paddingIndex: Int = -1) throws -> Tensor {
    try OperatorLibrary.embedding(.reference(self), .reference(indices), Value(paddingIndex))
  }

  /// 1 at the place that each index names, in a new last dimension, and 0 elsewhere.
  public func oneHot(_ classCount: Int) throws -> Tensor {
    try OperatorLibrary.oneHot(.reference(self), Value(classCount))
  }
}
