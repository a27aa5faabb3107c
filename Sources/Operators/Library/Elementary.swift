import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let elementary = [exp, exp2, expm1, log, log2, log10, log1p]

  // All of these promote integers to the default floating-point type.

  public static let exp = unary("exp(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.exp, $0) }
    .derivative(saving: ["result"]) { try $0.gradient * $0.result }
    .inPlaceVariant()

  public static let exp2 = unary("exp2(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.exp2, $0) }
    .derivative(saving: ["result"]) { try $0.gradient * $0.result * naturalLogarithmOf2 }
    .inPlaceVariant()

  /// exp(x) - 1, exact near 0.
  public static let expm1 = unary("expm1(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.expm1, $0) }
    .derivative(saving: ["result"]) { try $0.gradient * ($0.result + 1) }
    .inPlaceVariant()

  public static let log = unary("log(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.log, $0) }
    .derivative(saving: ["self"]) { try $0.gradient / $0.tensor("self") }
    .inPlaceVariant()

  public static let log2 = unary("log2(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.log2, $0) }
    .derivative(saving: ["self"]) { try $0.gradient / ($0.tensor("self") * naturalLogarithmOf2) }
    .inPlaceVariant()

  public static let log10 = unary("log10(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.log10, $0) }
    .derivative(saving: ["self"]) { try $0.gradient / ($0.tensor("self") * naturalLogarithmOf10) }
    .inPlaceVariant()

  /// log(1 + x), exact near 0.
  public static let log1p = unary("log1p(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.log1p, $0) }
    .derivative(saving: ["self"]) { try $0.gradient / ($0.tensor("self") + 1) }
    .inPlaceVariant()
}

private let naturalLogarithmOf2 = 0.693_147_180_559_945_3
private let naturalLogarithmOf10 = 2.302_585_092_994_045_7

extension Tensor {
  public func exp() throws -> Tensor { try OperatorLibrary.exp(.reference(self)) }
  public func exp2() throws -> Tensor { try OperatorLibrary.exp2(.reference(self)) }
  public func expm1() throws -> Tensor { try OperatorLibrary.expm1(.reference(self)) }
  public func log() throws -> Tensor { try OperatorLibrary.log(.reference(self)) }
  public func log2() throws -> Tensor { try OperatorLibrary.log2(.reference(self)) }
  public func log10() throws -> Tensor { try OperatorLibrary.log10(.reference(self)) }
  public func log1p() throws -> Tensor { try OperatorLibrary.log1p(.reference(self)) }

  @discardableResult public func exp_() throws -> Tensor { try OperatorLibrary.exp.inPlace(.reference(self)) }
  @discardableResult public func log_() throws -> Tensor { try OperatorLibrary.log.inPlace(.reference(self)) }
}
