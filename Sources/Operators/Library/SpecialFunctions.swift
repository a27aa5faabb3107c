import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let specialFunctions = [erf, erfc, erfinv, lgamma, digamma, polygamma]

  // All of these promote integers to the default floating-point type.

  /// The error function, 2/√π ∫₀ˣ exp(-t²) dt.
  public static let erf = unary("erf(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.erf, $0) }
    .derivative(saving: ["self"]) { try $0.gradient * (twoOverRootOfPi * (-$0.tensor("self").square()).exp()) }
    .inPlaceVariant()

  /// 1 - erf(x), with all its digits where that is small.
  public static let erfc = unary("erfc(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.erfc, $0) }
    .derivative(saving: ["self"]) { try $0.gradient * (-twoOverRootOfPi * (-$0.tensor("self").square()).exp()) }
    .inPlaceVariant()

  /// The inverse of `erf`.
  public static let erfinv = unary("erfinv(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.erfinv, $0) }
    .derivative(saving: ["result"]) { try $0.gradient * ($0.result.square().exp() / twoOverRootOfPi) }
    .inPlaceVariant()

  /// The logarithm of |Γ(x)|.
  public static let lgamma = unary("lgamma(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.lgamma, $0) }
    .derivative(saving: ["self"]) { try $0.gradient * $0.tensor("self").digamma() }
    .inPlaceVariant()

  /// The derivative of `lgamma`.
  public static let digamma = unary("digamma(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.digamma, $0) }
    .derivative(saving: ["self"]) { try $0.gradient * $0.tensor("self").polygamma(1) }
    .inPlaceVariant()

  /// The n-th derivative of `digamma`.
  public static let polygamma: OperatorDefinition = pointwise(
    "polygamma(int n, Tensor self) -> Tensor", promotion: .intToFloat,
    check: { call, _ in
      if try call.int(0) < 0 { throw call.mismatch(0, "an order of 0 or more") }
    }
  ) { x, call in .binary(.polygamma, .constant(.double(Double(try call.int(0)))), x[0]) }
  .derivative(saving: ["self"]) { d in
    let next = try d.call.int(0).addingReportingOverflow(1).partialValue
    return try d.gradient * d.tensor("self").polygamma(next)
  }
}

private let twoOverRootOfPi = 1.128_379_167_095_512_6

extension Tensor {
  public func erf() throws -> Tensor { try OperatorLibrary.erf(.reference(self)) }
  public func erfc() throws -> Tensor { try OperatorLibrary.erfc(.reference(self)) }
  public func erfinv() throws -> Tensor { try OperatorLibrary.erfinv(.reference(self)) }
  public func lgamma() throws -> Tensor { try OperatorLibrary.lgamma(.reference(self)) }
  public func digamma() throws -> Tensor { try OperatorLibrary.digamma(.reference(self)) }
  /// The derivative of `digamma` of an order.
  public func polygamma(_ order: Int) throws -> Tensor {
    try OperatorLibrary.polygamma(.int(SymInt(order)), .reference(self))
  }
}
