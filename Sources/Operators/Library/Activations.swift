import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let activations = [
    tanh, tanhBackward, sigmoid, sigmoidBackward, relu, thresholdBackward, gelu, geluBackward, silu, siluBackward,
    mish, mishBackward,
  ]

  /// tanh(x). Integers are promoted to the default floating-point type.
  public static let tanh = unary("tanh(Tensor self) -> Tensor", promotion: .intToFloat) { .unary(.tanh, $0) }
    .derivative(saving: ["result"]) { try tanhBackward(.reference($0.gradient), .reference($0.result)) }
    .inPlaceVariant()

  /// grad · (1 - output²)
  public static let tanhBackward: OperatorDefinition = binary(
    "tanh_backward(Tensor grad_output, Tensor output) -> Tensor", accepts: .floatingPoint
  ) { $0 * (1 - $1 * $1) }
  .derivative(of: "grad_output", saving: ["output"]) { try tanhBackward(.reference($0.gradient), $0["output"]) }
  .derivative(of: "output", saving: ["grad_output", "output"]) { d in
    try d.gradient * (-2 * d.tensor("output") * d["grad_output"])
  }

  /// 1 / (1 + exp(-x)). Integers are promoted to the default floating-point type.
  public static let sigmoid = unary("sigmoid(Tensor self) -> Tensor", promotion: .intToFloat) { logistic($0) }
    .derivative(saving: ["result"]) { try sigmoidBackward(.reference($0.gradient), .reference($0.result)) }
    .inPlaceVariant()

  /// grad · output · (1 - output)
  public static let sigmoidBackward: OperatorDefinition = binary(
    "sigmoid_backward(Tensor grad_output, Tensor output) -> Tensor", accepts: .floatingPoint
  ) { $0 * (1 - $1) * $1 }
  .derivative(of: "grad_output", saving: ["output"]) { try sigmoidBackward(.reference($0.gradient), $0["output"]) }
  .derivative(of: "output", saving: ["grad_output", "output"]) { d in
    try d.gradient * d["grad_output"] * (1 - 2 * d.tensor("output"))
  }

  /// max(x, 0). Its gradient at 0 is 0.
  public static let relu = unary("relu(Tensor self) -> Tensor", accepts: .numeric) { .binary(.maximum, $0, 0) }
    .derivative(saving: ["result"]) { try thresholdBackward(.reference($0.gradient), .reference($0.result), .int(0)) }
    .inPlaceVariant()

  /// The gradient where `self` exceeds the threshold (or is NaN), else 0.
  public static let thresholdBackward: OperatorDefinition = pointwise(
    "threshold_backward(Tensor grad_output, Tensor self, Scalar threshold) -> Tensor"
  ) { x, call in select(x[1] .<= .constant(try call.scalar(2)), 0, x[0]) }
  .derivative(of: "grad_output", saving: ["self"]) { d in
    try thresholdBackward(.reference(d.gradient), d["self"], d["threshold"])
  }
  .derivative(of: "self") { try $0.gradient.zerosLike() }

  /// x · Φ(x), with Φ the normal distribution function; `tanh` names its usual approximation.
  public static let gelu = pointwise(
    "gelu(Tensor self, *, str approximate='none') -> Tensor", accepts: .floatingPoint,
    check: { call, _ in _ = try isGeluApproximate(call, at: 1) }
  ) { x, call in
    let x = x[0]
    if try isGeluApproximate(call, at: 1) { return x * approximateDistribution(x) }
    return x * .unary(.ndtr, x)
  }
  .derivative(saving: ["self"]) { try geluBackward(.reference($0.gradient), $0["self"], $0["approximate"]) }
  .inPlaceVariant()

  public static let geluBackward: OperatorDefinition = pointwise(
    "gelu_backward(Tensor grad_output, Tensor self, *, str approximate='none') -> Tensor", accepts: .floatingPoint,
    check: { call, _ in _ = try isGeluApproximate(call, at: 2) }
  ) { x, call in
    let (gradient, x) = (x[0], x[1])
    if try isGeluApproximate(call, at: 2) {
      let distribution = approximateDistribution(x)
      let slope = 2 * geluScale * (1 + 3 * geluCubic * x * x)
      return gradient * (distribution + x * (distribution * (1 - distribution)) * slope)
    }
    let density = normalDensity * .unary(.exp, -0.5 * x * x)
    return gradient * (.unary(.ndtr, x) + x * density)
  }
  .derivative(of: "grad_output", saving: ["self"]) { d in
    try geluBackward(.reference(d.gradient), d["self"], d["approximate"])
  }
  .derivative(of: "self", saving: ["grad_output", "self"]) { d in
    let x = try d.tensor("self")
    let outer = try d.gradient * d["grad_output"]
    if try isGeluApproximate(d.call, at: 2) {
      let square = try x * x
      let inner = try (x + x * square * 0.044715) * 0.797_884_560_802_865_4
      let tanh = try inner.tanh()
      // 1 - tanh², with all its digits where that is small.
      let sech2 = try 4 * (2 * inner).sigmoid() * (-2 * inner).sigmoid()
      let slope = try (1 + 3 * 0.044715 * square) * 0.797_884_560_802_865_4
      let curvature = try x * (6 * 0.044715 * 0.797_884_560_802_865_4)
      return try outer * sech2 * (slope + 0.5 * x * (curvature - 2 * tanh * slope * slope))
    }
    return try outer * (2 - x * x) * (x * x * -0.5).exp() * 0.398_942_280_401_432_7
  }

  /// x · sigmoid(x), also known as swish.
  public static let silu = unary("silu(Tensor self) -> Tensor", accepts: .floatingPoint) {
    $0 * logistic($0)
  }
  .derivative(saving: ["self"]) { try siluBackward(.reference($0.gradient), $0["self"]) }
  .inPlaceVariant()

  public static let siluBackward: OperatorDefinition = binary(
    "silu_backward(Tensor grad_output, Tensor self) -> Tensor", accepts: .floatingPoint
  ) { gradient, x in
    let sigmoid = logistic(x)
    return gradient * sigmoid * (1 + x * (1 - sigmoid))
  }
  .derivative(of: "grad_output", saving: ["self"]) { try siluBackward(.reference($0.gradient), $0["self"]) }
  .derivative(of: "self", saving: ["grad_output", "self"]) { d in
    let x = try d.tensor("self")
    let sigmoid = try x.sigmoid()
    let slope = try sigmoid * (1 - sigmoid)
    return try d.gradient * d["grad_output"] * slope * (2 + x * (1 - 2 * sigmoid))
  }

  /// x · tanh(log(1 + exp(x)))
  public static let mish = unary("mish(Tensor self) -> Tensor", accepts: .floatingPoint) { $0 * mishGate($0) }
    .derivative(saving: ["self"]) { try mishBackward(.reference($0.gradient), $0["self"]) }
    .inPlaceVariant()

  public static let mishBackward: OperatorDefinition = binary(
    "mish_backward(Tensor grad_output, Tensor self) -> Tensor", accepts: .floatingPoint
  ) { gradient, x in
    let gate = mishGate(x)
    return gradient * (gate + x * logistic(x) * (1 - gate * gate))
  }
  .derivative(of: "grad_output", saving: ["self"]) { try mishBackward(.reference($0.gradient), $0["self"]) }
  .derivative(of: "self", saving: ["grad_output", "self"]) { d in
    let x = try d.tensor("self")
    let (sigmoid, gate) = (try x.sigmoid(), try x.softplus().tanh())
    let slope = try sigmoid * (1 - gate * gate)
    return try d.gradient * d["grad_output"] * slope * (2 + x * (1 - sigmoid - 2 * gate * sigmoid))
  }

  private static func mishGate(_ x: ScalarExpression) -> ScalarExpression {
    .unary(.tanh, .unary(.log1p, .unary(.exp, x)))
  }

  static func logistic(_ x: ScalarExpression) -> ScalarExpression { .unary(.sigmoid, x) }

  private static func isGeluApproximate<Reference>(_ call: Call<Reference>, at position: Int) throws -> Bool {
    switch try call.string(position) {
    case "none": return false
    case "tanh": return true
    default: throw call.mismatch(position, "'none' or 'tanh'")
    }
  }

  // (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2, as a sigmoid: no digits are lost where it is small.
  private static func approximateDistribution(_ x: ScalarExpression) -> ScalarExpression {
    logistic(2 * geluScale * (x + geluCubic * x * x * x))
  }

  private static let geluScale: ScalarExpression = 0.797_884_560_802_865_4
  private static let geluCubic: ScalarExpression = 0.044715
  private static let normalDensity: ScalarExpression = 0.398_942_280_401_432_7
}

/// Which formula `gelu` is computed by.
public enum GELUApproximation: String, Hashable, Sendable { case none, tanh }

extension Tensor {
  public func tanh() throws -> Tensor { try OperatorLibrary.tanh(.reference(self)) }
  public func sigmoid() throws -> Tensor { try OperatorLibrary.sigmoid(.reference(self)) }
  public func relu() throws -> Tensor { try OperatorLibrary.relu(.reference(self)) }
  public func mish() throws -> Tensor { try OperatorLibrary.mish(.reference(self)) }
  public func silu() throws -> Tensor { try OperatorLibrary.silu(.reference(self)) }
  public func gelu(approximate: GELUApproximation = .none) throws -> Tensor {
    try OperatorLibrary.gelu(.reference(self), .string(approximate.rawValue))
  }

  @discardableResult public func tanh_() throws -> Tensor { try OperatorLibrary.tanh.inPlace(.reference(self)) }
  @discardableResult public func sigmoid_() throws -> Tensor { try OperatorLibrary.sigmoid.inPlace(.reference(self)) }
  @discardableResult public func relu_() throws -> Tensor { try OperatorLibrary.relu.inPlace(.reference(self)) }
  @discardableResult public func mish_() throws -> Tensor { try OperatorLibrary.mish.inPlace(.reference(self)) }
  @discardableResult public func silu_() throws -> Tensor { try OperatorLibrary.silu.inPlace(.reference(self)) }
}
