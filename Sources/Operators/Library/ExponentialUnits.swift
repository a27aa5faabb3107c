import GraphIR
import LoopIR
import TensorCore

/// Activations that are linear above 0 and approach a limit exponentially below.
extension OperatorLibrary {
  static let exponentialUnits = [elu, eluBackward, celu, selu, seluInPlace]

  /// scale · x above 0, scale · alpha · (exp(input_scale · x) - 1) below.
  public static let elu = pointwise(
    "elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor", accepts: .floatingPoint
  ) { x, call in
    let (alpha, scale, inputScale) = (try call.double(1), try call.double(2), try call.double(3))
    let below = .constant(.double(alpha * scale)) * .unary(.expm1, x[0] * .constant(.double(inputScale)))
    return select(x[0] .> 0, x[0] * .constant(.double(scale)), below)
  }
  .derivative(saving: ["self"]) { d in
    try eluBackward(.reference(d.gradient), d["alpha"], d["scale"], d["input_scale"], .bool(false), d["self"])
  }
  .inPlaceVariant(saving: ["result"]) { d in
    try eluBackward(
      .reference(d.gradient), d["alpha"], d["scale"], d["input_scale"], .bool(true), .reference(d.result))
  }

  public static let eluBackward: OperatorDefinition = pointwise(
    """
    elu_backward(Tensor grad_output, Scalar alpha, Scalar scale, Scalar input_scale, bool is_result, \
    Tensor self_or_result) -> Tensor
    """, accepts: .floatingPoint, check: { call, _ in try checkInvertible(call, factorAt: 1, isResultAt: 4) }
  ) { x, call in
    let (alpha, scale, inputScale) = (try call.double(1), try call.double(2), try call.double(3))
    let (gradient, value) = (x[0], x[1])
    let below =
      try call.bool(4)
      ? gradient * .constant(.double(inputScale)) * (value + .constant(.double(alpha * scale)))
      : gradient * .constant(.double(inputScale * alpha * scale))
        * .unary(.exp, value * .constant(.double(inputScale)))
    return select(value .<= 0, below, gradient * .constant(.double(scale)))
  }
  .derivative(of: "grad_output", saving: ["self_or_result"]) { d in
    try eluBackward(
      .reference(d.gradient), d["alpha"], d["scale"], d["input_scale"], d["is_result"], d["self_or_result"])
  }
  .derivative(of: "self_or_result", saving: ["grad_output", "self_or_result"]) { d in
    let (alpha, scale, inputScale) = (try d.call.double(1), try d.call.double(2), try d.call.double(3))
    let value = try d.tensor("self_or_result")
    let incoming = try d.gradient * d["grad_output"]
    let below =
      try d.call.bool(4)
      ? incoming * inputScale
      : incoming * (value * inputScale).exp() * (inputScale * inputScale * alpha * scale)
    return try value.lt(0).selecting(below, 0.0)
  }

  /// x above 0, alpha · (exp(x / alpha) - 1) below: its slope has no step.
  public static let celu = pointwise(
    "celu(Tensor self, Scalar alpha=1.) -> Tensor", accepts: .floatingPoint,
    check: { call, _ in
      if try call.double(1) == 0 { throw call.mismatch(1, "other than 0") }
    }
  ) { x, call in
    let alpha = try call.double(1)
    let below = .constant(.double(alpha)) * .unary(.expm1, x[0] * .constant(.double(1 / alpha)))
    return select(x[0] .> 0, x[0], below)
  }
  .derivative(saving: ["self"]) { try celuGradient($0, isResult: false, $0["self"]) }
  .inPlaceVariant(saving: ["result"]) { try celuGradient($0, isResult: true, .reference($0.result)) }

  /// `elu` with the constants that keep activations of mean 0 and variance 1 so.
  public static let selu = OperatorDefinition(
    "selu(Tensor self) -> Tensor", .composite { .reference(try elu(seluArguments($0))) })

  public static let seluInPlace = OperatorDefinition(
    "selu_(Tensor(a!) self) -> Tensor(a!)",
    .composite { .reference(try elu.inPlace(seluArguments($0))) })

  private static func celuGradient(_ d: DerivativeContext, isResult: Bool, _ value: Value) throws -> Tensor {
    // As in PyTorch, 1 / alpha is that of a number in single precision.
    let inverse = try 1 / Double(Float(d.call.double(1)))
    return try eluBackward(.reference(d.gradient), d["alpha"], .int(1), .double(inverse), .bool(isResult), value)
  }

  private static func seluArguments(_ call: OperatorCall) -> [Value] {
    [call.arguments[0], .double(1.673_263_242_354_377_2), .double(1.050_700_987_355_480_5)]
  }
}

extension Tensor {
  public func elu(alpha: Double = 1) throws -> Tensor { try OperatorLibrary.elu(.reference(self), .double(alpha)) }
  public func celu(alpha: Double = 1) throws -> Tensor { try OperatorLibrary.celu(.reference(self), .double(alpha)) }
  public func selu() throws -> Tensor { try OperatorLibrary.selu(.reference(self)) }

  @discardableResult
  public func elu_(alpha: Double = 1) throws -> Tensor {
    try OperatorLibrary.elu.inPlace(.reference(self), .double(alpha))
  }
  @discardableResult
  public func celu_(alpha: Double = 1) throws -> Tensor {
    try OperatorLibrary.celu.inPlace(.reference(self), .double(alpha))
  }
  @discardableResult public func selu_() throws -> Tensor { try OperatorLibrary.seluInPlace(.reference(self)) }
}
