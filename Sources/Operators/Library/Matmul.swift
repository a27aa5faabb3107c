import GraphIR
import LoopIR
import TensorCore

// Products of matrices, batches of matrices and vectors.
extension OperatorLibrary {
  static let matmuls = [mm, bmm, addmm, baddbmm, mv, dot, outer, matmul, linear]

  /// [m, k] @ [k, n]
  public static let mm: OperatorDefinition = product(
    "mm(Tensor self, Tensor mat2) -> Tensor", operands: (0, 1), ranks: (2, 2)
  )
  .derivative(of: "self", saving: ["mat2"]) { d in try d.gradient.mm(d.tensor("mat2").t()) }
  .derivative(of: "mat2", saving: ["self"]) { d in try d.tensor("self").t().mm(d.gradient) }

  /// [b, m, k] @ [b, k, n]
  public static let bmm: OperatorDefinition = product(
    "bmm(Tensor self, Tensor mat2) -> Tensor", operands: (0, 1), ranks: (3, 3)
  )
  .derivative(of: "self", saving: ["mat2"]) { d in try d.gradient.bmm(d.tensor("mat2").transpose(1, 2)) }
  .derivative(of: "mat2", saving: ["self"]) { d in try d.tensor("self").transpose(1, 2).bmm(d.gradient) }

  /// beta · self + alpha · mat1 @ mat2, `self` broadcast
  public static let addmm: OperatorDefinition = product(
    "addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", operands: (1, 2),
    ranks: (2, 2)
  )
  .wideDecomposition { try added($0, $0.tensor(1).mm($0.tensor(2))) }
  .derivative(of: "self") { d in try d.gradient.scaled(by: d.scalar("beta")) }
  .derivative(of: "mat1", saving: ["mat2"]) { d in
    try d.gradient.mm(d.tensor("mat2").t()).scaled(by: d.scalar("alpha"))
  }
  .derivative(of: "mat2", saving: ["mat1"]) { d in
    try d.tensor("mat1").t().mm(d.gradient).scaled(by: d.scalar("alpha"))
  }
  .inPlaceVariant()

  /// beta · self + alpha · batch1 @ batch2, `self` broadcast
  public static let baddbmm: OperatorDefinition = product(
    "baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", operands: (1, 2),
    ranks: (3, 3)
  )
  .wideDecomposition { try added($0, $0.tensor(1).bmm($0.tensor(2))) }
  .derivative(of: "self") { d in try d.gradient.scaled(by: d.scalar("beta")) }
  .derivative(of: "batch1", saving: ["batch2"]) { d in
    try d.gradient.bmm(d.tensor("batch2").transpose(1, 2)).scaled(by: d.scalar("alpha"))
  }
  .derivative(of: "batch2", saving: ["batch1"]) { d in
    try d.tensor("batch1").transpose(1, 2).bmm(d.gradient).scaled(by: d.scalar("alpha"))
  }
  .inPlaceVariant()

  /// [m, k] @ [k]
  public static let mv: OperatorDefinition = product(
    "mv(Tensor self, Tensor vec) -> Tensor", operands: (0, 1), ranks: (2, 1)
  )
  .decomposition { .reference(try $0.tensor(0).mm($0.tensor(1).unsqueeze(1)).squeeze(1)) }
  .derivative(of: "self", saving: ["vec"]) { d in try d.gradient.outer(d.tensor("vec")) }
  .derivative(of: "vec", saving: ["self"]) { d in try d.tensor("self").t().mv(d.gradient) }

  /// [k] @ [k]
  public static let dot: OperatorDefinition = product(
    "dot(Tensor self, Tensor tensor) -> Tensor", operands: (0, 1), ranks: (1, 1)
  )
  .wideDecomposition { try ($0.tensor(0) * $0.tensor(1)).sum() }
  .derivative(of: "self", saving: ["tensor"]) { d in try d.gradient * d.tensor("tensor") }
  .derivative(of: "tensor", saving: ["self"]) { d in try d.gradient * d.tensor("self") }

  /// The products of every element of one vector with every element of another: [m], [n] → [m, n].
  public static let outer = OperatorDefinition(
    "outer(Tensor self, Tensor vec2) -> Tensor",
    .composite { call in
      let (left, right) = (try call.tensor(0), try call.tensor(1))
      guard left.rank == 1, right.rank == 1 else {
        throw OperatorError(.shape, call.target.name, "needs two vectors, got sizes \(left.sizes) and \(right.sizes)")
      }
      return .reference(try left.unsqueeze(1) * right)
    })

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
      if weight.rank == 2 && input.rank == 2 { return .reference(try bias.addmm(input, weight.t())) }
      if weight.rank == 2 && input.rank > 2 && input.isContiguous {
        // One matrix product with the bias in it, rather than a product and an addition.
        let rows = try input.view(input.sizesAsMatrix)
        return .reference(try bias.addmm(rows, weight.t()).view(input.sizes.dropLast() + [weight.sizes[0]]))
      }
      return .reference(try input.matmul(weight.t()) + bias)
    })

  /// beta · self + alpha · product. A beta of 0 leaves `self` out, NaN and all.
  private static func added(_ call: OperatorCall, _ product: Tensor) throws -> Tensor {
    let (beta, scaled) = (try call.scalar(3), try product.scaled(by: call.scalar(4)))
    return try beta.doubleValue == 0 ? scaled : call.tensor(0).scaled(by: beta) + scaled
  }

  /// An operator that is one product of the operands at two positions; if those are 1 and 2, added to argument 0.
  private static func product(
    _ schema: String, operands: (left: Int, right: Int), ranks: (left: Int, right: Int)
  ) -> OperatorDefinition {
    OperatorDefinition(
      schema, traits: .computeBound,
      .kernel(
        shape: { call in
          let (left, right) = (try call.tensor(operands.left), try call.tensor(operands.right))
          let sizes = try call.productSizes(left, right, ranks)
          guard left.dtype == right.dtype else {
            throw OperatorError(
              .dtype, call.target.name, "operands must have one dtype, got \(left.dtype) and \(right.dtype)")
          }
          guard left.dtype != .bool else {
            throw OperatorError(.dtype, call.target.name, "is not defined for bool")
          }
          if operands.left == 1 {
            let addend = try call.tensor(0)
            guard addend.dtype == left.dtype else {
              throw OperatorError(
                .dtype, call.target.name,
                "'self' must have the dtype \(left.dtype) of the operands, got \(addend.dtype)")
            }
            guard try call.target.broadcast([addend.sizes, sizes]) == sizes else {
              throw OperatorError(
                .shape, call.target.name, "'self' of sizes \(addend.sizes) does not broadcast to \(sizes)")
            }
            for position in [3, 4] where !left.dtype.isFloatingPoint {
              guard case .int = try call.scalar(position) else { throw call.mismatch(position, "an integer") }
            }
          }
          return [TensorMeta(dtype: left.dtype, sizes: sizes, device: left.device)]
        },
        lowering: { call, results, builder in
          let left = try call.reference(operands.left).asMatrices(isLeft: true)
          let right = try call.reference(operands.right).asMatrices(isLeft: false)
          let result = results[0].asMatrices(insertingRow: ranks.left == 1, column: ranks.right == 1)
          guard operands.left == 1 else { return builder.matmul(left, right, to: result) }
          let (beta, alpha) = (try call.double(3), try call.double(4))
          let addend = try call.reference(0)
          if beta != 0 && addend != results[0] { builder.copy(addend, to: results[0]) }
          builder.matmul(left, right, to: result, alpha: alpha, beta: beta)
        }))
  }

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

extension Call where Reference == Tensor {
  /// The sizes of a product of operands of those ranks.
  fileprivate func productSizes(_ left: Tensor, _ right: Tensor, _ ranks: (left: Int, right: Int)) throws -> [SymInt] {
    guard left.rank == ranks.left, right.rank == ranks.right else {
      throw OperatorError(
        .shape, target.name,
        "needs operands of \(ranks.left) and \(ranks.right) dimensions, got sizes \(left.sizes) and \(right.sizes)")
    }
    let inner = ranks.right == 1 ? right.sizes[0] : right.sizes[ranks.right - 2]
    guard left.sizes[ranks.left - 1] == inner, ranks.left < 3 || left.sizes[0] == right.sizes[0] else {
      throw sizesDoNotMatch(left, right)
    }
    return left.sizes.dropLast() + (ranks.right == 1 ? [] : [right.sizes[ranks.right - 1]])
  }

  fileprivate func sizesDoNotMatch(_ left: Tensor, _ right: Tensor) -> OperatorError {
    OperatorError(.shape, target.name, "sizes \(left.sizes) and \(right.sizes) cannot be multiplied")
  }
}

extension Operand {
  /// A vector as the row or column that it is in a product; matrices as they are.
  fileprivate func asMatrices(isLeft: Bool) -> Operand {
    sizes.count > 1 ? self : asMatrices(insertingRow: isLeft, column: !isLeft)
  }

  /// With a dimension of size 1 in place of a row or column dimension that vectors lack.
  fileprivate func asMatrices(insertingRow: Bool, column: Bool) -> Operand {
    var result = self
    if insertingRow {
      result.sizes.insert(1, at: 0)
      result.strides.insert(1, at: 0)
    }
    if column {
      result.sizes.append(1)
      result.strides.append(1)
    }
    return result
  }
}

extension DerivativeContext {
  func scalar(_ parameter: String) throws -> Scalar {
    guard let value = self[parameter].scalar else {
      throw OperatorError(.argument, call.target.name, "argument '\(parameter)' must be a number")
    }
    return value
  }
}

extension Tensor {
  /// The sizes with all dimensions but the last merged.
  fileprivate var sizesAsMatrix: [SymInt] { [sizes.dropLast().reduce(1, *), sizes[rank - 1]] }

  /// The product of vectors, matrices or batches of matrices, batch dimensions broadcast.
  public func matmul(_ other: Tensor) throws -> Tensor {
    try OperatorLibrary.matmul(.reference(self), .reference(other))
  }

  /// [m, k] @ [k, n]
  public func mm(_ other: Tensor) throws -> Tensor { try OperatorLibrary.mm(.reference(self), .reference(other)) }

  /// [b, m, k] @ [b, k, n]
  public func bmm(_ other: Tensor) throws -> Tensor { try OperatorLibrary.bmm(.reference(self), .reference(other)) }

  /// beta · self + alpha · left @ right
  public func addmm(_ left: Tensor, _ right: Tensor, beta: Scalar = 1, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.addmm(.reference(self), .reference(left), .reference(right), Value(beta), Value(alpha))
  }

  @discardableResult
  public func addmm_(_ left: Tensor, _ right: Tensor, beta: Scalar = 1, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.addmm.inPlace(.reference(self), .reference(left), .reference(right), Value(beta), Value(alpha))
  }

  /// beta · self + alpha · left @ right, batch by batch
  public func baddbmm(_ left: Tensor, _ right: Tensor, beta: Scalar = 1, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.baddbmm(.reference(self), .reference(left), .reference(right), Value(beta), Value(alpha))
  }

  /// [m, k] @ [k]
  public func mv(_ vector: Tensor) throws -> Tensor { try OperatorLibrary.mv(.reference(self), .reference(vector)) }

  /// [k] @ [k]
  public func dot(_ other: Tensor) throws -> Tensor { try OperatorLibrary.dot(.reference(self), .reference(other)) }

  /// [m], [n] → [m, n]
  public func outer(_ other: Tensor) throws -> Tensor { try OperatorLibrary.outer(.reference(self), .reference(other)) }

  /// self @ weightᵀ + bias: [..., in], [out, in], [out] → [..., out]
  public func linear(_ weight: Tensor, bias: Tensor? = nil) throws -> Tensor {
    try OperatorLibrary.linear(.reference(self), .reference(weight), bias.map { .reference($0) } ?? .none)
  }
}
