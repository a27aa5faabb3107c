import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let arithmetic = [add, sub, mul, div, neg]

  /// self + alpha · other
  public static let add = pointwise("add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor") { x, call in
    x[0] + scaled(x[1], by: try call.scalar(2))
  }
  .derivative(of: "self") { $0.gradient }
  .derivative(of: "other") { try $0.gradient.scaled(by: $0.call.scalar(2)) }
  .inPlaceVariant()

  /// self - alpha · other
  public static let sub = pointwise("sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor") { x, call in
    x[0] - scaled(x[1], by: try call.scalar(2))
  }
  .derivative(of: "self") { $0.gradient }
  .derivative(of: "other") { try -$0.gradient.scaled(by: $0.call.scalar(2)) }
  .inPlaceVariant()

  public static let mul = binary("mul.Tensor(Tensor self, Tensor other) -> Tensor") { $0 * $1 }
    .derivative(of: "self", saving: ["other"]) { try $0.gradient * $0["other"] }
    .derivative(of: "other", saving: ["self"]) { try $0.gradient * $0["self"] }
    .inPlaceVariant()

  /// True division: integers are promoted to the default floating-point type.
  public static let div = binary("div.Tensor(Tensor self, Tensor other) -> Tensor", promotion: .intToFloat) { $0 / $1 }
    .derivative(of: "self", saving: ["other"]) { try $0.gradient / $0["other"] }
    .derivative(of: "other", saving: ["self", "other"]) { d in
      let other = try d.tensor("other")
      return try -d.gradient * (d["self"].dividedBy(other) / other)
    }
    .inPlaceVariant()

  public static let neg = unary("neg(Tensor self) -> Tensor") { -$0 }
    .derivative { try -$0.gradient }
    .inPlaceVariant()

  private static func scaled(_ x: ScalarExpression, by factor: Scalar) -> ScalarExpression {
    factor.doubleValue == 1 ? x : x * .constant(factor)
  }
}

extension Tensor {
  /// self + alpha · other, broadcast.
  public func add(_ other: some TensorOperand, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.add(.reference(self), other.operandValue, Value(alpha))
  }

  /// Adds alpha · other to this tensor's elements.
  @discardableResult
  public func add_(_ other: some TensorOperand, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.add.inPlace(.reference(self), other.operandValue, Value(alpha))
  }

  public func sub(_ other: some TensorOperand, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.sub(.reference(self), other.operandValue, Value(alpha))
  }

  @discardableResult
  public func sub_(_ other: some TensorOperand, alpha: Scalar = 1) throws -> Tensor {
    try OperatorLibrary.sub.inPlace(.reference(self), other.operandValue, Value(alpha))
  }

  public func mul(_ other: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.mul(.reference(self), other.operandValue)
  }

  @discardableResult
  public func mul_(_ other: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.mul.inPlace(.reference(self), other.operandValue)
  }

  public func div(_ other: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.div(.reference(self), other.operandValue)
  }

  @discardableResult
  public func div_(_ other: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.div.inPlace(.reference(self), other.operandValue)
  }

  public func neg() throws -> Tensor { try OperatorLibrary.neg(.reference(self)) }

  public static func + (a: Tensor, b: some TensorOperand) throws -> Tensor { try a.add(b) }
  public static func - (a: Tensor, b: some TensorOperand) throws -> Tensor { try a.sub(b) }
  public static func * (a: Tensor, b: some TensorOperand) throws -> Tensor { try a.mul(b) }
  public static func / (a: Tensor, b: some TensorOperand) throws -> Tensor { try a.div(b) }
  public static prefix func - (a: Tensor) throws -> Tensor { try a.neg() }

  // With a plain number on the left.
  public static func + (a: Double, b: Tensor) throws -> Tensor { try b.add(a) }
  public static func * (a: Double, b: Tensor) throws -> Tensor { try b.mul(a) }
  public static func - (a: Double, b: Tensor) throws -> Tensor { try b.neg().add(a) }
  public static func / (a: Double, b: Tensor) throws -> Tensor { try Value.double(a).dividedBy(b) }

  /// This tensor times a number; itself where that is 1.
  func scaled(by factor: Scalar) throws -> Tensor { factor.doubleValue == 1 ? self : try mul(factor) }
}

extension Value {
  /// A tensor or number divided by a tensor.
  func dividedBy(_ other: Tensor) throws -> Tensor { try OperatorLibrary.div(self, .reference(other)) }
}
