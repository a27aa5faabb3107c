import AOTAutograd

/// What a parameter starts as: PyTorch's `torch.nn.init`.
///
///     try Initializer.kaimingNormal(nonlinearity: .relu).fill(layer.weight)
///
/// Random ones draw from the generator in use, or from one that is given: `Generator(seed: 7).use { try MLP() }` makes the same
/// model each time.
public struct Initializer: Sendable {
  private let body: @Sendable (_ tensor: Tensor, _ generator: Generator?) throws -> Void

  /// - Parameter body: Writes to all elements of a tensor; it runs without gradients.
  public init(_ body: @escaping @Sendable (_ tensor: Tensor, _ generator: Generator?) throws -> Void) {
    self.body = body
  }

  /// Writes to all elements of a tensor, which may be a parameter.
  ///
  /// - Throws: `ModuleError` where a tensor of that shape has no fans; what the operators throw.
  public func fill(_ tensor: Tensor, generator: Generator? = nil) throws {
    try noGrad { try body(tensor, generator) }
  }

  /// A new tensor.
  ///
  /// - Throws: As `fill`.
  public func callAsFunction(_ shape: [Int], dtype: DType = .float32, generator: Generator? = nil) throws -> Tensor {
    let tensor = try Tensor.empty(shape, dtype: dtype)
    try fill(tensor, generator: generator)
    return tensor
  }
}

extension Initializer {
  public static func constant(_ value: Double) -> Initializer { Initializer { tensor, _ in try tensor.fill_(value) } }

  public static let zeros = constant(0)
  public static let ones = constant(1)

  /// Uniform in `lower..<upper`.
  public static func uniform(_ lower: Double = 0, _ upper: Double = 1) -> Initializer {
    Initializer { try $0.uniform_(from: lower, to: upper, generator: $1) }
  }

  public static func normal(mean: Double = 0, std: Double = 1) -> Initializer {
    Initializer { try $0.normal_(mean: mean, std: std, generator: $1) }
  }

  /// Normal, with what would lie outside of `lower...upper` drawn anew: by the inverse of the distribution function.
  public static func truncatedNormal(
    mean: Double = 0, std: Double = 1, _ lower: Double = -2, _ upper: Double = 2
  ) -> Initializer {
    Initializer { tensor, generator in
      func distribution(_ x: Double) throws -> Double {
        let half = try (Tensor.scalar((x - mean) / std, dtype: .float64) * 0.5.squareRoot()).erf()
        return try half.item().doubleValue
      }
      // erf is 2 · distribution - 1, which is what its inverse takes.
      let (low, high) = (try distribution(lower), try distribution(upper))
      let wide = try Tensor.empty(tensor.shape, dtype: .float64).uniform_(from: low, to: high, generator: generator)
      let values = try wide.erfinv() * (std * 2.0.squareRoot()) + mean
      try tensor.copy_(values.clamp(min: .double(lower), max: .double(upper)))
    }
  }

  /// K. He and others, 2015: uniform with bound `gain · √(3 / fan)`.
  public static func kaimingUniform(
    mode: FanMode = .fanIn, nonlinearity: Nonlinearity = .leakyReLU()
  ) -> Initializer {
    Initializer { tensor, generator in
      let bound = nonlinearity.gain * (3 / Double(try Fans(tensor)[mode])).squareRoot()
      try tensor.uniform_(from: -bound, to: bound, generator: generator)
    }
  }

  /// K. He and others, 2015: normal with deviation `gain / √fan`.
  public static func kaimingNormal(
    mode: FanMode = .fanIn, nonlinearity: Nonlinearity = .leakyReLU()
  ) -> Initializer {
    Initializer { tensor, generator in
      let std = nonlinearity.gain / Double(try Fans(tensor)[mode]).squareRoot()
      try tensor.normal_(mean: 0, std: std, generator: generator)
    }
  }

  /// X. Glorot and Y. Bengio, 2010: uniform with bound `gain · √(6 / (fan in + fan out))`.
  public static func xavierUniform(gain: Double = 1) -> Initializer {
    Initializer { tensor, generator in
      let bound = gain * (6 / Double(try Fans(tensor).sum)).squareRoot()
      try tensor.uniform_(from: -bound, to: bound, generator: generator)
    }
  }

  /// X. Glorot and Y. Bengio, 2010: normal with deviation `gain · √(2 / (fan in + fan out))`.
  public static func xavierNormal(gain: Double = 1) -> Initializer {
    Initializer { tensor, generator in
      let std = gain * (2 / Double(try Fans(tensor).sum)).squareRoot()
      try tensor.normal_(mean: 0, std: std, generator: generator)
    }
  }
}
