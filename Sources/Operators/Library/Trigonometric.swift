import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let trigonometric = [sin, cos, tan, asin, acos, atan, atan2, sinh, cosh, asinh, acosh, atanh, sinc]

  // All of these promote integers to the default floating-point type.

  public static let sin = unary("sin(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.sin, $0) }
    .derivative(saving: ["self"]) { try $0.gradient * $0.tensor("self").cos() }
    .inPlaceVariant()

  public static let cos = unary("cos(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.cos, $0) }
    .derivative(saving: ["self"]) { try $0.gradient * -$0.tensor("self").sin() }
    .inPlaceVariant()

  public static let tan = unary("tan(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.tan, $0) }
    .derivative(saving: ["result"]) { try $0.gradient * (1 + $0.result * $0.result) }
    .inPlaceVariant()

  public static let asin = unary("asin(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.asin, $0) }
    .derivative(saving: ["self"]) { try $0.gradient * (1 - $0.tensor("self").square()).rsqrt() }
    .inPlaceVariant()

  public static let acos = unary("acos(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.acos, $0) }
    .derivative(saving: ["self"]) { try -$0.gradient * (1 - $0.tensor("self").square()).rsqrt() }
    .inPlaceVariant()

  public static let atan = unary("atan(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.atan, $0) }
    .derivative(saving: ["self"]) { try $0.gradient / (1 + $0.tensor("self").square()) }
    .inPlaceVariant()

  /// The angle of the point (other, self), in -π…π. The gradient at the origin is 0.
  public static let atan2 = binary("atan2(Tensor self, Tensor other) -> Tensor", promotion: .intToFloat) {
    .binary(.atan2, $0, $1)
  }
  .derivative(of: "self", "other", saving: ["self", "other"]) { d in
    let square = try OperatorLibrary.mul(d["self"], d["self"]) + OperatorLibrary.mul(d["other"], d["other"])
    let scaled = try d.gradient * square.reciprocal().maskedFill(square.eq(0), 0)
    return try [.reference(scaled * d["other"]), .reference(-scaled * d["self"])]
  }
  .inPlaceVariant()
  .outVariant()

  public static let sinh = unary("sinh(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.sinh, $0) }
    .derivative(saving: ["self"]) { try $0.gradient * $0.tensor("self").cosh() }
    .inPlaceVariant()

  public static let cosh = unary("cosh(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.cosh, $0) }
    .derivative(saving: ["self"]) { try $0.gradient * $0.tensor("self").sinh() }
    .inPlaceVariant()

  public static let asinh = unary("asinh(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.asinh, $0) }
    .derivative(saving: ["self"]) { try $0.gradient * ($0.tensor("self").square() + 1).rsqrt() }
    .inPlaceVariant()

  public static let acosh = unary("acosh(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.acosh, $0) }
    .derivative(saving: ["self"]) { try $0.gradient * ($0.tensor("self").square() - 1).rsqrt() }
    .inPlaceVariant()

  public static let atanh = unary("atanh(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.atanh, $0) }
    .derivative(saving: ["self"]) { try $0.gradient / (1 - $0.tensor("self").square()) }
    .inPlaceVariant()

  /// sin(πx) / (πx), and 1 at 0.
  public static let sinc = unary("sinc(Tensor self) -> Tensor", promotion: .intToFloat) { x in
    // As a number, π would be rounded to half precision where x is of that, though computing happens in float32.
    let angle = .unary(.acos, -1) * x
    return select(x .== 0, 1, .unary(.sin, angle) / angle)
  }
  .derivative(saving: ["self"]) { d in
    let x = try d.tensor("self")
    let angle = try x * Double.pi
    let slope = try (angle.cos() * angle - angle.sin()) / (angle * x)
    return try d.gradient * x.eq(0).selecting(0.0, slope)
  }
  .inPlaceVariant()
}

extension Tensor {
  public func sin() throws -> Tensor { try OperatorLibrary.sin(.reference(self)) }
  public func cos() throws -> Tensor { try OperatorLibrary.cos(.reference(self)) }
  public func tan() throws -> Tensor { try OperatorLibrary.tan(.reference(self)) }
  public func asin() throws -> Tensor { try OperatorLibrary.asin(.reference(self)) }
  public func acos() throws -> Tensor { try OperatorLibrary.acos(.reference(self)) }
  public func atan() throws -> Tensor { try OperatorLibrary.atan(.reference(self)) }
  public func sinh() throws -> Tensor { try OperatorLibrary.sinh(.reference(self)) }
  public func cosh() throws -> Tensor { try OperatorLibrary.cosh(.reference(self)) }
  public func asinh() throws -> Tensor { try OperatorLibrary.asinh(.reference(self)) }
  public func acosh() throws -> Tensor { try OperatorLibrary.acosh(.reference(self)) }
  public func atanh() throws -> Tensor { try OperatorLibrary.atanh(.reference(self)) }
  public func sinc() throws -> Tensor { try OperatorLibrary.sinc(.reference(self)) }
  /// The angle of the point (`x`, this tensor), broadcast.
  public func atan2(_ x: Tensor) throws -> Tensor { try OperatorLibrary.atan2(.reference(self), .reference(x)) }

  @discardableResult public func sin_() throws -> Tensor { try OperatorLibrary.sin.inPlace(.reference(self)) }
  @discardableResult public func cos_() throws -> Tensor { try OperatorLibrary.cos.inPlace(.reference(self)) }
}
