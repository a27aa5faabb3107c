import GraphIR
import TensorCore

/// Whether tensors are the same, or nearly so.
extension OperatorLibrary {
  static let equality = [isclose, allclose, equal, isNonzero]

  /// |self - other| ≤ atol + rtol · |other|; infinities are close to themselves only, NaN with `equal_nan` to NaN.
  public static let isclose = OperatorDefinition(
    """
    isclose(Tensor self, Tensor other, float rtol=1.0000000000000001e-05, float atol=1e-08, bool equal_nan=False) \
    -> Tensor
    """,
    .composite { call in
      let (a, b) = (try call.tensor(0), try call.tensor(1))
      guard a.dtype == b.dtype else {
        throw OperatorError(.dtype, call.target.name, "needs tensors of one dtype, got \(a.dtype) and \(b.dtype)")
      }
      let (relative, absolute) = (try call.double(2), try call.double(3))
      guard relative >= 0 else { throw call.mismatch(2, "at least 0") }
      guard absolute >= 0 else { throw call.mismatch(3, "at least 0") }
      var isClose = try a.eq(b)
      if try call.bool(4), a.dtype.isFloatingPoint { isClose = try isClose.logicalOr(a.isNaN().logicalAnd(b.isNaN())) }
      if relative == 0, absolute == 0 { return .reference(isClose) }
      let (exact, other) =
        a.dtype.isFloatingPoint ? (a, b) : (try a.converted(to: .float32), try b.converted(to: .float32))
      let error = try (exact - other).abs()
      let isAllowed = try error.le((other * relative).abs() + absolute)
      return .reference(try isClose.logicalOr(error.isFinite().logicalAnd(isAllowed)))
    })

  /// Whether all elements are close, as `isclose` has it.
  public static let allclose = OperatorDefinition(
    """
    allclose(Tensor self, Tensor other, float rtol=1.0000000000000001e-05, float atol=1e-08, bool equal_nan=False) \
    -> bool
    """, traits: .dataDependent, .composite { call in Value(try isclose(call.arguments).all().item()) })

  /// Whether sizes and all elements are the same.
  public static let equal = OperatorDefinition(
    "equal(Tensor self, Tensor other) -> bool", traits: .dataDependent,
    .composite { call in
      let (a, b) = (try call.tensor(0), try call.tensor(1))
      return a.sizes == b.sizes ? Value(try a.eq(b).all().item()) : .bool(false)
    })

  /// Whether the one element is other than 0.
  public static let isNonzero = OperatorDefinition(
    "is_nonzero(Tensor self) -> bool", traits: .dataDependent,
    .composite { call in .bool(try call.tensor(0).item().doubleValue != 0) })
}

extension Tensor {
  /// Where |self - other| ≤ absolute + relative · |other|.
  public func isClose(
    _ other: Tensor, relative: Double = 1e-5, absolute: Double = 1e-8, equalNaN: Bool = false
  ) throws -> Tensor {
    try OperatorLibrary.isclose(
      .reference(self), .reference(other), .double(relative), .double(absolute), .bool(equalNaN))
  }

  /// Whether all elements are close, as `isClose` has it.
  public func allClose(
    _ other: Tensor, relative: Double = 1e-5, absolute: Double = 1e-8, equalNaN: Bool = false
  ) throws -> Bool {
    try OperatorLibrary.allclose.call([
      .reference(self), .reference(other), .double(relative), .double(absolute), .bool(equalNaN),
    ]).scalar == .bool(true)
  }

  /// Whether sizes and all elements are the same.
  public func equal(_ other: Tensor) throws -> Bool {
    try OperatorLibrary.equal.call([.reference(self), .reference(other)]).scalar == .bool(true)
  }
}
