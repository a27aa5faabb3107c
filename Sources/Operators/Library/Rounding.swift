import Foundation
import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let rounding = [floor, ceil, round, roundDecimals, trunc, frac, abs, sign, sgn]

  public static let floor = rounded("floor", .floor)
  public static let ceil = rounded("ceil", .ceil)
  /// To the nearest integer, ties to even.
  public static let round = rounded("round", .round)
  /// To so many decimal places, ties to even; negative ones are left of the point.
  public static let roundDecimals = pointwise(
    "round.decimals(Tensor self, *, int decimals) -> Tensor", accepts: .floatingPoint
  ) { x, call in
    let decimals = try call.int(1)
    let scale = ScalarExpression.constant(.double(Foundation.pow(10, Double(decimals.magnitude))))
    return decimals < 0 ? .unary(.round, x[0] / scale) * scale : .unary(.round, x[0] * scale) / scale
  }
  .derivative { try $0.gradient.zerosLike() }
  .inPlaceVariant()

  /// Toward zero.
  public static let trunc = rounded("trunc", .truncate)

  /// What `trunc` takes away.
  public static let frac = unary("frac(Tensor self) -> Tensor", accepts: .floatingPoint) { $0 - .unary(.truncate, $0) }
    .derivative { $0.gradient }
    .inPlaceVariant()

  public static let abs = unary("abs(Tensor self) -> Tensor", accepts: .numeric) { .unary(.absolute, $0) }
    .derivative(saving: ["self"]) { try $0.gradient * $0.tensor("self").sgn() }
    .inPlaceVariant()

  /// -1, 0 or 1.
  public static let sign = signed("sign")
  public static let sgn = signed("sgn")

  private static func rounded(_ name: String, _ operation: UnaryOperation) -> OperatorDefinition {
    pointwise("\(name)(Tensor self) -> Tensor", accepts: .numeric) { x, call in
      try call.reference(0).dtype.isFloatingPoint ? .unary(operation, x[0]) : x[0]
    }
    .derivative { try $0.gradient.zerosLike() }
    .inPlaceVariant()
  }

  private static func signed(_ name: String) -> OperatorDefinition {
    pointwise("\(name)(Tensor self) -> Tensor") { x, call in
      try call.reference(0).dtype == .bool ? x[0] : .unary(.sign, x[0])
    }
    .derivative { try $0.gradient.zerosLike() }
    .inPlaceVariant()
  }
}

extension Tensor {
  public func floor() throws -> Tensor { try OperatorLibrary.floor(.reference(self)) }
  public func ceil() throws -> Tensor { try OperatorLibrary.ceil(.reference(self)) }
  public func round() throws -> Tensor { try OperatorLibrary.round(.reference(self)) }
  public func round(decimals: Int) throws -> Tensor {
    try OperatorLibrary.roundDecimals(.reference(self), Value(decimals))
  }
  public func trunc() throws -> Tensor { try OperatorLibrary.trunc(.reference(self)) }
  public func frac() throws -> Tensor { try OperatorLibrary.frac(.reference(self)) }
  public func abs() throws -> Tensor { try OperatorLibrary.abs(.reference(self)) }
  public func sign() throws -> Tensor { try OperatorLibrary.sign(.reference(self)) }
  public func sgn() throws -> Tensor { try OperatorLibrary.sgn(.reference(self)) }
  @discardableResult public func abs_() throws -> Tensor { try OperatorLibrary.abs.inPlace(.reference(self)) }
  @discardableResult public func floor_() throws -> Tensor { try OperatorLibrary.floor.inPlace(.reference(self)) }
  @discardableResult public func round_() throws -> Tensor { try OperatorLibrary.round.inPlace(.reference(self)) }
}
