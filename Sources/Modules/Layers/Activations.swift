import AOTAutograd

/// max(x, 0)
public final class ReLU: Module, Layer {
  public func callAsFunction(_ input: Tensor) throws -> Tensor { try input.relu() }
}

/// x where positive, and a small multiple of it elsewhere.
public final class LeakyReLU: Module, Layer {
  public let negativeSlope: Double

  public init(negativeSlope: Double = 0.01) { self.negativeSlope = negativeSlope }

  public func callAsFunction(_ input: Tensor) throws -> Tensor { try input.leakyRelu(negativeSlope: negativeSlope) }
  public override var settings: String { "negativeSlope: \(negativeSlope)" }
}

/// x where positive, and `alpha · (exp(x) - 1)` elsewhere.
public final class ELU: Module, Layer {
  public let alpha: Double

  public init(alpha: Double = 1) { self.alpha = alpha }

  public func callAsFunction(_ input: Tensor) throws -> Tensor { try input.elu(alpha: alpha) }
  public override var settings: String { "alpha: \(alpha)" }
}

/// x · Φ(x), with the normal distribution function or an approximation of it.
public final class GELU: Module, Layer {
  public let approximation: GELUApproximation

  public init(approximate approximation: GELUApproximation = .none) { self.approximation = approximation }

  public func callAsFunction(_ input: Tensor) throws -> Tensor { try input.gelu(approximate: approximation) }
  public override var settings: String { "approximate: \(approximation)" }
}

/// x · sigmoid(x)
public final class SiLU: Module, Layer {
  public func callAsFunction(_ input: Tensor) throws -> Tensor { try input.silu() }
}

public final class Tanh: Module, Layer {
  public func callAsFunction(_ input: Tensor) throws -> Tensor { try input.tanh() }
}

/// 1 / (1 + exp(-x))
public final class Sigmoid: Module, Layer {
  public func callAsFunction(_ input: Tensor) throws -> Tensor { try input.sigmoid() }
}

/// Positive numbers with sum 1 along a dimension, in proportion to exp(x).
public final class Softmax: Module, Layer {
  public let dimension: Int

  public init(_ dimension: Int) { self.dimension = dimension }

  public func callAsFunction(_ input: Tensor) throws -> Tensor { try input.softmax(dimension) }
  public override var settings: String { "\(dimension)" }
}

/// The logarithm of `Softmax`.
public final class LogSoftmax: Module, Layer {
  public let dimension: Int

  public init(_ dimension: Int) { self.dimension = dimension }

  public func callAsFunction(_ input: Tensor) throws -> Tensor { try input.logSoftmax(dimension) }
  public override var settings: String { "\(dimension)" }
}
