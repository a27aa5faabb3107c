import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let comparison = [
    eq, ne, lt, le, gt, ge, eqScalar, neScalar, ltScalar, leScalar, gtScalar, geScalar, isnan, isinf, isfinite,
    isposinf, isneginf, signbit,
  ]

  // All give bool. Those with NaN are false, but for `ne`. What their in-place variants overwrite gets no gradient.

  public static let eq = compared("eq", .equal)
  public static let ne = compared("ne", .notEqual)
  public static let lt = compared("lt", .less)
  public static let le = compared("le", .lessOrEqual)
  public static let gt = compared("gt", .greater)
  public static let ge = compared("ge", .greaterOrEqual)

  public static let eqScalar = comparedWithNumber("eq", .equal)
  public static let neScalar = comparedWithNumber("ne", .notEqual)
  public static let ltScalar = comparedWithNumber("lt", .less)
  public static let leScalar = comparedWithNumber("le", .lessOrEqual)
  public static let gtScalar = comparedWithNumber("gt", .greater)
  public static let geScalar = comparedWithNumber("ge", .greaterOrEqual)

  public static let isnan = classified("isnan") { .unary(.isNaN, $0) }
  public static let isinf = classified("isinf") { .unary(.absolute, $0) .== infinity }
  // NaN is not less than anything.
  public static let isfinite = classified("isfinite", ofIntegers: true) { .unary(.absolute, $0) .< infinity }
  public static let isposinf = classified("isposinf") { $0 .== infinity }
  public static let isneginf = classified("isneginf") { $0 .== -infinity }

  /// Whether the sign is negative: that of -0, too, and of a NaN.
  public static let signbit = pointwise("signbit(Tensor self) -> Tensor", promotion: .comparison) { x, call in
    let dtype = try call.reference(0).dtype
    if dtype == .bool { return .constant(.bool(false)) }
    return (dtype.isFloatingPoint ? .binary(.copySign, .cast(dtype, 1), x[0]) : x[0]) .< 0
  }
  .notDifferentiable()

  private static let infinity = ScalarExpression.constant(.double(.infinity))

  private static func compared(_ name: String, _ operation: BinaryOperation) -> OperatorDefinition {
    binary("\(name).Tensor(Tensor self, Tensor other) -> Tensor", promotion: .comparison) {
      .binary(operation, $0, $1)
    }
    .derivative(of: "self") { _ in nil }
    .derivative(of: "other") { _ in nil }
    .inPlaceVariant()
  }

  private static func comparedWithNumber(_ name: String, _ operation: BinaryOperation) -> OperatorDefinition {
    binary(
      "\(name).Scalar(Tensor self, Scalar other) -> Tensor", operands: ["self", "other"], promotion: .comparison
    ) { .binary(operation, $0, $1) }
    .derivative { _ in nil }
    .inPlaceVariant()
  }

  private static func classified(
    _ name: String, ofIntegers: Bool = false, _ body: @escaping @Sendable (ScalarExpression) -> ScalarExpression
  ) -> OperatorDefinition {
    pointwise("\(name)(Tensor self) -> Tensor", promotion: .comparison) { x, call in
      try call.reference(0).dtype.isFloatingPoint ? body(x[0]) : .constant(.bool(ofIntegers))
    }
    .notDifferentiable()
  }
}

extension Tensor {
  public func eq(_ other: some TensorOperand) throws -> Tensor {
    try compared(other, OperatorLibrary.eq, OperatorLibrary.eqScalar)
  }
  public func ne(_ other: some TensorOperand) throws -> Tensor {
    try compared(other, OperatorLibrary.ne, OperatorLibrary.neScalar)
  }
  public func lt(_ other: some TensorOperand) throws -> Tensor {
    try compared(other, OperatorLibrary.lt, OperatorLibrary.ltScalar)
  }
  public func le(_ other: some TensorOperand) throws -> Tensor {
    try compared(other, OperatorLibrary.le, OperatorLibrary.leScalar)
  }
  public func gt(_ other: some TensorOperand) throws -> Tensor {
    try compared(other, OperatorLibrary.gt, OperatorLibrary.gtScalar)
  }
  public func ge(_ other: some TensorOperand) throws -> Tensor {
    try compared(other, OperatorLibrary.ge, OperatorLibrary.geScalar)
  }

  // As SIMD vectors have them: elementwise, with a dot.
  public static func .== (a: Tensor, b: some TensorOperand) throws -> Tensor { try a.eq(b) }
  public static func .!= (a: Tensor, b: some TensorOperand) throws -> Tensor { try a.ne(b) }
  public static func .< (a: Tensor, b: some TensorOperand) throws -> Tensor { try a.lt(b) }
  public static func .<= (a: Tensor, b: some TensorOperand) throws -> Tensor { try a.le(b) }
  public static func .> (a: Tensor, b: some TensorOperand) throws -> Tensor { try a.gt(b) }
  public static func .>= (a: Tensor, b: some TensorOperand) throws -> Tensor { try a.ge(b) }

  public func signbit() throws -> Tensor { try OperatorLibrary.signbit(.reference(self)) }
  public func isNaN() throws -> Tensor { try OperatorLibrary.isnan(.reference(self)) }
  public func isInfinite() throws -> Tensor { try OperatorLibrary.isinf(.reference(self)) }
  public func isFinite() throws -> Tensor { try OperatorLibrary.isfinite(.reference(self)) }

  private func compared(
    _ other: some TensorOperand, _ withTensor: OperatorDefinition, _ withNumber: OperatorDefinition
  ) throws -> Tensor {
    let value = other.operandValue
    return try (value.scalar == nil ? withTensor : withNumber)(.reference(self), value)
  }
}
