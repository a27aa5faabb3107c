import Foundation
import LoopIR

/// An elementary function: how loops compute it, and how the C library does.
struct AccuracySubject: Sendable {
  let name: String
  let operandCount: Int
  let expression: @Sendable ([ScalarExpression]) -> ScalarExpression
  let exact: @Sendable (Double, Double) -> Double

  private init(_ operation: UnaryOperation, _ exact: @escaping @Sendable (Double) -> Double) {
    name = operation.rawValue
    operandCount = 1
    expression = { .unary(operation, $0[0]) }
    self.exact = { x, _ in exact(x) }
  }

  private init(_ operation: BinaryOperation, _ exact: @escaping @Sendable (Double, Double) -> Double) {
    name = operation.rawValue
    operandCount = 2
    expression = { .binary(operation, $0[0], $0[1]) }
    self.exact = exact
  }

  static let all: [AccuracySubject] = [
    .init(.sqrt) { $0.squareRoot() },
    .init(.rsqrt) { 1 / $0.squareRoot() },
    .init(.exp) { Foundation.exp($0) },
    .init(.exp2) { Foundation.exp2($0) },
    .init(.expm1) { Foundation.expm1($0) },
    .init(.log) { Foundation.log($0) },
    .init(.log1p) { Foundation.log1p($0) },
    .init(.log2) { Foundation.log2($0) },
    .init(.log10) { Foundation.log10($0) },
    .init(.sin) { Foundation.sin($0) },
    .init(.cos) { Foundation.cos($0) },
    .init(.tan) { Foundation.tan($0) },
    .init(.asin) { Foundation.asin($0) },
    .init(.acos) { Foundation.acos($0) },
    .init(.atan) { Foundation.atan($0) },
    .init(.sinh) { Foundation.sinh($0) },
    .init(.cosh) { Foundation.cosh($0) },
    .init(.tanh) { Foundation.tanh($0) },
    .init(.asinh) { Foundation.asinh($0) },
    .init(.acosh) { Foundation.acosh($0) },
    .init(.atanh) { Foundation.atanh($0) },
    .init(.sigmoid) { 1 / (1 + Foundation.exp(-$0)) },
    .init(.erf) { Foundation.erf($0) },
    .init(.erfc) { Foundation.erfc($0) },
    .init(.ndtr) { 0.5 * Foundation.erfc($0 * -0.5.squareRoot()) },
    .init(.power) { Foundation.pow($0, $1) },
    .init(.atan2) { Foundation.atan2($0, $1) },
    .init(.hypot) { Foundation.hypot($0, $1) },
  ]

  /// Operands of a number below 2³²: for one, the float32 number with those bits; for two, every pair of leading halves, the
  /// rest of each scrambled.
  func operands(_ index: UInt32) -> (Float, Float) {
    if operandCount == 1 { return (Float(bitPattern: index), 0) }
    let scrambled = index &* 0x9E37_79B9
    return (
      Float(bitPattern: index & 0xFFFF_0000 | scrambled >> 16), Float(bitPattern: index << 16 | scrambled & 0xFFFF)
    )
  }
}
