import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let piecewiseActivations = [
    leakyRelu, leakyReluBackward, softplus, softplusBackward, hardtanh, hardtanhBackward, relu6, relu6InPlace,
    hardswish, hardswishBackward, hardsigmoid, hardsigmoidBackward, threshold,
  ]

  /// x, below 0 scaled by the negative slope.
  public static let leakyRelu = pointwise(
    "leaky_relu(Tensor self, Scalar negative_slope=0.01) -> Tensor", accepts: .floatingPoint
  ) { x, call in select(x[0] .> 0, x[0], x[0] * .constant(try call.scalar(1))) }
  .derivative(saving: ["self"]) { d in
    try leakyReluBackward(.reference(d.gradient), d["self"], d["negative_slope"], .bool(false))
  }
  .inPlaceVariant()

  public static let leakyReluBackward: OperatorDefinition = pointwise(
    "leaky_relu_backward(Tensor grad_output, Tensor self, Scalar negative_slope, bool self_is_result) -> Tensor",
    accepts: .floatingPoint, check: { call, _ in try checkInvertible(call, factorAt: 2, isResultAt: 3) }
  ) { x, call in select(x[1] .> 0, x[0], x[0] * .constant(try call.scalar(2))) }
  .derivative(of: "grad_output", saving: ["self"]) { d in
    try leakyReluBackward(.reference(d.gradient), d["self"], d["negative_slope"], d["self_is_result"])
  }
  .derivative(of: "self") { try $0.gradient.zerosLike() }

  /// log(1 + exp(beta · x)) / beta; x itself where beta · x exceeds the threshold.
  public static let softplus = pointwise(
    "softplus(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor", accepts: .floatingPoint
  ) { x, call in
    let beta = ScalarExpression.constant(.double(try call.double(1)))
    let scaled = x[0] * beta
    return select(
      scaled .> .constant(.double(try call.double(2))), x[0], .unary(.log1p, .unary(.exp, scaled)) / beta)
  }
  .derivative(saving: ["self"]) { d in
    try softplusBackward(.reference(d.gradient), d["self"], d["beta"], d["threshold"])
  }

  public static let softplusBackward: OperatorDefinition = pointwise(
    "softplus_backward(Tensor grad_output, Tensor self, Scalar beta, Scalar threshold) -> Tensor",
    accepts: .floatingPoint
  ) { x, call in
    let scaled = x[1] * .constant(.double(try call.double(2)))
    return select(scaled .> .constant(.double(try call.double(3))), x[0], x[0] * logistic(scaled))
  }
  .derivative(of: "grad_output", saving: ["self"]) { d in
    try softplusBackward(.reference(d.gradient), d["self"], d["beta"], d["threshold"])
  }
  .derivative(of: "self", saving: ["grad_output", "self"]) { d in
    let beta = try d.call.double(2)
    let scaled = try d.tensor("self") * beta
    let sigmoid = try scaled.sigmoid()
    let curved = try d.gradient * d["grad_output"] * (sigmoid * (1 - sigmoid)) * beta
    return try scaled.gt(d["threshold"]).selecting(0.0, curved)
  }

  /// Limited to a range. The gradient is 0 at the ends.
  public static let hardtanh = pointwise(
    "hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor", accepts: .numeric, check: checkLimits
  ) { x, call in
    let dtype = try call.reference(0).dtype
    func limit(_ position: Int) throws -> ScalarExpression {
      .constant(try call.scalar(position).converted(to: dtype)).limited(to: dtype)
    }
    return .binary(.minimum, .binary(.maximum, x[0], try limit(1)), try limit(2))
  }
  .derivative(saving: ["self"]) { d in
    try hardtanhBackward(.reference(d.gradient), d["self"], d["min_val"], d["max_val"])
  }
  .inPlaceVariant()

  public static let hardtanhBackward: OperatorDefinition = pointwise(
    "hardtanh_backward(Tensor grad_output, Tensor self, Scalar min_val, Scalar max_val) -> Tensor",
    accepts: .floatingPoint
  ) { x, call in
    let isOutside = ScalarExpression.binary(
      .bitwiseOr, x[1] .<= .constant(try call.scalar(2)), x[1] .>= .constant(try call.scalar(3)))
    return select(isOutside, 0, x[0])
  }
  .derivative(of: "grad_output", saving: ["self"]) { d in
    try hardtanhBackward(.reference(d.gradient), d["self"], d["min_val"], d["max_val"])
  }
  .derivative(of: "self") { try $0.gradient.zerosLike() }

  public static let relu6 = OperatorDefinition(
    "relu6(Tensor self) -> Tensor", .composite { .reference(try hardtanh($0.arguments[0], .int(0), .int(6))) })

  public static let relu6InPlace = OperatorDefinition(
    "relu6_(Tensor(a!) self) -> Tensor(a!)",
    .composite { .reference(try hardtanh.inPlace($0.arguments[0], .int(0), .int(6))) })

  /// x · min(max(x + 3, 0), 6) / 6
  public static let hardswish = unary("hardswish(Tensor self) -> Tensor", accepts: .floatingPoint) { x in
    x * limited(x + 3) / 6
  }
  .derivative(saving: ["self"]) { try hardswishBackward(.reference($0.gradient), $0["self"]) }
  .inPlaceVariant()

  public static let hardswishBackward: OperatorDefinition = binary(
    "hardswish_backward(Tensor grad_output, Tensor self) -> Tensor", accepts: .floatingPoint
  ) { gradient, x in
    select(x .<= -3, 0, select(x .< 3, gradient * (x / 3 + 0.5), gradient))
  }
  .derivative(of: "grad_output", saving: ["self"]) { try hardswishBackward(.reference($0.gradient), $0["self"]) }
  .derivative(of: "self", saving: ["grad_output", "self"]) { d in
    let x = try d.tensor("self")
    return try x.gt(-3).logicalAnd(x.lt(3)).selecting(d.gradient * d["grad_output"] / 3, 0.0)
  }

  /// min(max(x + 3, 0), 6) / 6
  public static let hardsigmoid = unary("hardsigmoid(Tensor self) -> Tensor", accepts: .floatingPoint) { x in
    limited(x + 3) / 6
  }
  .derivative(saving: ["self"]) { try hardsigmoidBackward(.reference($0.gradient), $0["self"]) }
  .inPlaceVariant()

  public static let hardsigmoidBackward: OperatorDefinition = binary(
    "hardsigmoid_backward(Tensor grad_output, Tensor self) -> Tensor", accepts: .floatingPoint
  ) { gradient, x in select(.binary(.bitwiseAnd, x .> -3, x .< 3), gradient * oneSixth, 0) }
  .derivative(of: "grad_output", saving: ["self"]) { try hardsigmoidBackward(.reference($0.gradient), $0["self"]) }
  .derivative(of: "self") { try $0.gradient.zerosLike() }

  /// `value` where x does not exceed the threshold, else x.
  public static let threshold = pointwise(
    "threshold(Tensor self, Scalar threshold, Scalar value) -> Tensor", accepts: .numeric,
    check: { call, dtype in
      for position in 1...2 { try call.checkNumber(position, fits: dtype) }
    }
  ) { x, call in
    select(x[0] .<= .constant(try call.scalar(1)), .constant(try call.scalar(2)), x[0])
  }
  .derivative(saving: ["self"]) { try thresholdBackward(.reference($0.gradient), $0["self"], $0["threshold"]) }
  .inPlaceVariant()

  /// - Throws: `OperatorError` where the sign of a result would have to tell that of the input, and does not.
  static func checkInvertible(_ call: OperatorCall, factorAt position: Int, isResultAt isResult: Int) throws {
    if try call.bool(isResult), try call.double(position) < 0 {
      throw call.mismatch(position, "at least 0, to find the gradient from the result")
    }
  }

  // In single precision for every type, as in PyTorch.
  private static let oneSixth = ScalarExpression.constant(.double(Double(Float(1) / 6)))

  private static func limited(_ x: ScalarExpression) -> ScalarExpression {
    .binary(.minimum, .binary(.maximum, x, 0), 6)
  }
}

extension Tensor {
  public func leakyRelu(negativeSlope: Double = 0.01) throws -> Tensor {
    try OperatorLibrary.leakyRelu(.reference(self), .double(negativeSlope))
  }
  public func softplus(beta: Double = 1, threshold: Double = 20) throws -> Tensor {
    try OperatorLibrary.softplus(.reference(self), .double(beta), .double(threshold))
  }
  public func hardtanh(min: Double = -1, max: Double = 1) throws -> Tensor {
    try OperatorLibrary.hardtanh(.reference(self), .double(min), .double(max))
  }
  public func relu6() throws -> Tensor { try OperatorLibrary.relu6(.reference(self)) }
  public func hardswish() throws -> Tensor { try OperatorLibrary.hardswish(.reference(self)) }
  public func hardsigmoid() throws -> Tensor { try OperatorLibrary.hardsigmoid(.reference(self)) }
}
