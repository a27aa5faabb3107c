import GraphIR
import TensorCore

// Products of every element of one vector with every element of another.
extension OperatorLibrary {
  static let outerProducts = [outer, ger, addr]

  /// [m], [n] → [m, n]
  public static let outer = outer("outer(Tensor self, Tensor vec2) -> Tensor")
  public static let ger = outer("ger(Tensor self, Tensor vec2) -> Tensor")

  /// beta · self + alpha · vec1 ⊗ vec2, `self` broadcast
  public static let addr: OperatorDefinition = .decomposed(
    "addr(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
  ) { call in
    let (addend, left, right) = (try call.tensor(0), try call.tensor(1), try call.tensor(2))
    let product = try left.outer(right)
    let dtype = TypePromotion.promote(addend.dtype, product.dtype)
    let (beta, alpha) = (try call.outerFactor(3, dtype), try call.outerFactor(4, dtype))
    guard try call.target.broadcast([addend.sizes, product.sizes]) == product.sizes else {
      throw OperatorError(
        .shape, call.target.name, "'self' of sizes \(addend.sizes) does not broadcast to \(product.sizes)")
    }
    let scaled = try product.to(dtype).mul(alpha)
    // What a factor of 0 meets is ignored, NaN included.
    if beta.doubleValue == 0 { return .reference(scaled) }
    let sum = try addend.to(dtype).mul(beta)
    return .reference(try dtype == .bool ? sum.logicalOr(scaled) : sum + scaled)
  }
  .derivative(of: "self") { d in try d.gradient.scaled(by: d.scalar("beta")) }
  .derivative(of: "vec1", saving: ["vec2"]) { d in
    try d.gradient.mv(d.tensor("vec2").to(d.gradient.dtype)).scaled(by: d.scalar("alpha"))
  }
  .derivative(of: "vec2", saving: ["vec1"]) { d in
    try d.gradient.t().mv(d.tensor("vec1").to(d.gradient.dtype)).scaled(by: d.scalar("alpha"))
  }
  .inPlaceVariant()

  private static func outer(_ schema: String) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .composite { call in
        let (left, right) = (try call.tensor(0), try call.tensor(1))
        guard left.rank == 1, right.rank == 1 else {
          throw OperatorError(.shape, call.target.name, "needs two vectors, got sizes \(left.sizes) and \(right.sizes)")
        }
        return .reference(try left.unsqueeze(1) * right)
      })
  }
}

extension Call where Reference == Tensor {
  /// A factor of an outer product, of the result's kind: only a bool result takes a bool, only a floating-point one a
  /// floating-point number.
  fileprivate func outerFactor(_ position: Int, _ dtype: DType) throws -> Scalar {
    let value = try scalar(position)
    if dtype == .bool {
      if case .double = value { throw mismatch(position, "a bool or an integer") }
      return .bool(value.doubleValue != 0)
    }
    if case .bool = value { throw mismatch(position, "a number") }
    if case .double = value, !dtype.isFloatingPoint { throw mismatch(position, "an integer") }
    return value
  }
}

extension Tensor {
  /// [m], [n] → [m, n]
  public func outer(_ other: Tensor) throws -> Tensor { try OperatorLibrary.outer(.reference(self), .reference(other)) }

  /// beta · self + alpha · left ⊗ right
  public func addr(_ left: Tensor, _ right: Tensor, beta: Scalar = 1, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.addr(.reference(self), .reference(left), .reference(right), Value(beta), Value(alpha))
  }
}
