import GraphIR
import LoopIR
import TensorCore

/// Activations that are 0 around 0.
extension OperatorLibrary {
  static let shrinkActivations = [hardshrink, hardshrinkBackward, softshrink, softshrinkBackward]

  /// x, and 0 where |x| is at most `lambd`.
  public static let hardshrink = pointwise(
    "hardshrink(Tensor self, Scalar lambd=0.5) -> Tensor", accepts: .floatingPoint
  ) { x, call in select(try isShrunk(x[0], call, lambdaAt: 1), 0, x[0]) }
  .derivative(saving: ["self"]) { try hardshrinkBackward(.reference($0.gradient), $0["self"], $0["lambd"]) }

  public static let hardshrinkBackward: OperatorDefinition = shrinkBackward(
    "hardshrink_backward(Tensor grad_out, Tensor self, Scalar lambd) -> Tensor"
  )
  .derivative(of: "grad_out", saving: ["self"]) { d in
    try hardshrinkBackward(.reference(d.gradient), d["self"], d["lambd"])
  }
  .derivative(of: "self") { try $0.gradient.zerosLike() }

  /// x moved toward 0 by `lambd`, and 0 where |x| is at most that.
  public static let softshrink = pointwise(
    "softshrink(Tensor self, Scalar lambd=0.5) -> Tensor", accepts: .floatingPoint,
    check: { call, dtype in
      guard try (0...dtype.greatestFinite).contains(call.double(1)) else {
        throw call.mismatch(1, "in 0...\(dtype.greatestFinite)")
      }
    }
  ) { x, call in
    let lambda = ScalarExpression.constant(.double(try call.double(1)))
    // A NaN stays one.
    return select(x[0] .> lambda, x[0] - lambda, select(x[0] .< -lambda, x[0] + lambda, x[0] * 0))
  }
  .derivative(saving: ["self"]) { try softshrinkBackward(.reference($0.gradient), $0["self"], $0["lambd"]) }

  public static let softshrinkBackward: OperatorDefinition = shrinkBackward(
    "softshrink_backward(Tensor grad_output, Tensor self, Scalar lambd) -> Tensor"
  )
  .derivative(of: "grad_output", saving: ["self"]) { d in
    try softshrinkBackward(.reference(d.gradient), d["self"], d["lambd"])
  }
  .derivative(of: "self") { try $0.gradient.zerosLike() }

  private static func shrinkBackward(_ schema: String) -> OperatorDefinition {
    pointwise(schema, accepts: .floatingPoint) { x, call in
      select(try isShrunk(x[1], call, lambdaAt: 2), 0, x[0])
    }
  }

  private static func isShrunk(
    _ x: ScalarExpression, _ call: LoweringCall, lambdaAt position: Int
  ) throws -> ScalarExpression {
    let lambda = ScalarExpression.constant(.double(try call.double(position)))
    return .binary(.bitwiseAnd, x .>= -lambda, x .<= lambda)
  }
}

extension Tensor {
  public func hardshrink(lambda: Double = 0.5) throws -> Tensor {
    try OperatorLibrary.hardshrink(.reference(self), .double(lambda))
  }
  public func softshrink(lambda: Double = 0.5) throws -> Tensor {
    try OperatorLibrary.softshrink(.reference(self), .double(lambda))
  }
}
