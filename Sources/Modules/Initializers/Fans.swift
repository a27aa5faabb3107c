import AOTAutograd

/// Which number of connections keeps its variance: of what comes in, in the forward pass, or of what goes out, in the backward pass.
public enum FanMode: Sendable { case fanIn, fanOut }

/// What follows a layer, which decides how much its parameters are to scale.
public enum Nonlinearity: Sendable {
  case linear, sigmoid, tanh, relu, selu
  case leakyReLU(negativeSlope: Double = 0.01)

  /// As `torch.nn.init.calculate_gain`.
  public var gain: Double {
    switch self {
    case .linear, .sigmoid: 1
    case .tanh: 5.0 / 3
    case .relu: 2.0.squareRoot()
    case .selu: 0.75
    case .leakyReLU(let slope): (2 / (1 + slope * slope)).squareRoot()
    }
  }
}

/// How many inputs each output of a weight has, and how many outputs each input.
struct Fans {
  private let into, out: Int

  /// - Parameter weight: Of shape [outputs, inputs, …].
  init(_ weight: Tensor) throws(ModuleError) {
    let shape = weight.shape
    guard shape.count >= 2, weight.elementCount > 0 else {
      throw ModuleError(
        .invalidSetting, "a weight of shape \(shape) has no fan in and fan out; it needs two dimensions and elements")
    }
    let field = shape.dropFirst(2).reduce(1, *)
    (into, out) = (shape[1] * field, shape[0] * field)
  }

  var sum: Int { into + out }

  subscript(mode: FanMode) -> Int { mode == .fanIn ? into : out }

  /// What PyTorch's linear and convolution layers draw their parameters from: uniform with bound `1 / √fan in`, which is
  /// `kaiming_uniform_` with a negative slope of √5.
  var layerDefault: Initializer {
    let bound = 1 / Double(into).squareRoot()
    return .uniform(-bound, bound)
  }
}
