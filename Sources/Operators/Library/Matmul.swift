import GraphIR
import LoopIR
import TensorCore

// Products of matrices, batches of matrices and vectors.
extension OperatorLibrary {
  static let matmuls = [mm, bmm, addmm, baddbmm, addbmm, mv, addmv, dot, vdot]

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
  .derivative(of: "self", saving: ["vec"]) { d in try d.gradient.outer(d.tensor("vec")) }
  .derivative(of: "vec", saving: ["self"]) { d in try d.tensor("self").t().mv(d.gradient) }

  /// beta · self + alpha · mat @ vec, `self` broadcast
  public static let addmv: OperatorDefinition = product(
    "addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor", operands: (1, 2),
    ranks: (2, 1)
  )
  .derivative(of: "self") { d in try d.gradient.scaled(by: d.scalar("beta")) }
  .derivative(of: "mat", saving: ["vec"]) { d in
    try d.gradient.outer(d.tensor("vec")).scaled(by: d.scalar("alpha"))
  }
  .derivative(of: "vec", saving: ["mat"]) { d in
    try d.tensor("mat").t().mv(d.gradient).scaled(by: d.scalar("alpha"))
  }
  .inPlaceVariant()

  /// [k] @ [k]
  public static let dot: OperatorDefinition = product(
    "dot(Tensor self, Tensor tensor) -> Tensor", operands: (0, 1), ranks: (1, 1)
  )
  .derivative(of: "self", saving: ["tensor"]) { d in try d.gradient * d.tensor("tensor") }
  .derivative(of: "tensor", saving: ["self"]) { d in try d.gradient * d.tensor("self") }

  /// The dot product whose first operand would be conjugated, were it complex.
  public static let vdot: OperatorDefinition = product(
    "vdot(Tensor self, Tensor other) -> Tensor", operands: (0, 1), ranks: (1, 1)
  )
  .derivative(of: "self", saving: ["other"]) { d in try d.gradient * d.tensor("other") }
  .derivative(of: "other", saving: ["self"]) { d in try d.gradient * d.tensor("self") }

  /// beta · self + alpha · Σ batch1 @ batch2 over the batches, `self` broadcast
  public static let addbmm: OperatorDefinition = .decomposed(
    "addbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
  ) { call in
    let (left, right) = (try call.tensor(1), try call.tensor(2))
    _ = try call.productSizes(left, right, (3, 3))
    // The batches side by side are one product.
    let inner = left.sizes[0] * left.sizes[2]
    let (rows, columns) = (
      try left.transpose(0, 1).reshape([left.sizes[1], inner]), try right.reshape([inner, right.sizes[2]])
    )
    return .reference(
      try addmm(call.arguments[0], .reference(rows), .reference(columns), call.arguments[3], call.arguments[4]))
  }
  .derivative(of: "self") { d in try d.gradient.scaled(by: d.scalar("beta")) }
  .derivative(of: "batch1", saving: ["batch2"]) { d in
    let right = try d.tensor("batch2")
    let gradients = try d.gradient.expand([right.sizes[0]] + d.gradient.sizes)
    return try gradients.bmm(right.transpose(1, 2)).scaled(by: d.scalar("alpha"))
  }
  .derivative(of: "batch2", saving: ["batch1"]) { d in
    let left = try d.tensor("batch1")
    let gradients = try d.gradient.expand([left.sizes[0]] + d.gradient.sizes)
    return try left.transpose(1, 2).bmm(gradients).scaled(by: d.scalar("alpha"))
  }
  .inPlaceVariant()

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
            for position in [3, 4] { _ = try call.factor(position, for: left.dtype) }
          }
          return [TensorMeta(dtype: left.dtype, sizes: sizes, device: left.device)]
        },
        lowering: { call, results, builder in
          let left = try call.reference(operands.left).asMatrices(isLeft: true)
          let right = try call.reference(operands.right).asMatrices(isLeft: false)
          let result = results[0].asMatrices(insertingRow: ranks.left == 1, column: ranks.right == 1)
          guard operands.left == 1 else { return builder.matmul(left, right, to: result) }
          let (beta, alpha) = (try call.factor(3, for: left.dtype), try call.factor(4, for: left.dtype))
          let addend = try call.reference(0)
          if beta != 0 && addend != results[0] { builder.copy(addend, to: results[0]) }
          builder.matmul(left, right, to: result, alpha: alpha, beta: beta)
        }))
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

  func sizesDoNotMatch(_ left: Tensor, _ right: Tensor) -> OperatorError {
    OperatorError(.shape, target.name, "sizes \(left.sizes) and \(right.sizes) cannot be multiplied")
  }
}

extension Call {
  /// A factor of a product; integers are multiplied by its integer part.
  fileprivate func factor(_ position: Int, for dtype: DType) throws -> Double {
    let value = try double(position)
    if dtype.isFloatingPoint { return value }
    guard let whole = Int(exactly: value.rounded(.towardZero)) else {
      throw mismatch(position, "a number that int64 holds")
    }
    return Double(whole)
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

  /// beta · self + alpha · matrix @ vector
  public func addmv(_ matrix: Tensor, _ vector: Tensor, beta: Scalar = 1, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.addmv(.reference(self), .reference(matrix), .reference(vector), Value(beta), Value(alpha))
  }

  /// beta · self + alpha · Σ left @ right over the batches
  public func addbmm(_ left: Tensor, _ right: Tensor, beta: Scalar = 1, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.addbmm(.reference(self), .reference(left), .reference(right), Value(beta), Value(alpha))
  }

  /// [m, k] @ [k]
  public func mv(_ vector: Tensor) throws -> Tensor { try OperatorLibrary.mv(.reference(self), .reference(vector)) }

  /// [k] @ [k]
  public func dot(_ other: Tensor) throws -> Tensor { try OperatorLibrary.dot(.reference(self), .reference(other)) }
  public func vdot(_ other: Tensor) throws -> Tensor { try OperatorLibrary.vdot(.reference(self), .reference(other)) }
}
