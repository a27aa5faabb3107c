import GraphIR
import TensorCore

// Dropout of whole features, and dropout that keeps mean and variance.
extension OperatorLibrary {
  static let featureDropouts = [
    dropoutInPlace, featureDropout, featureDropoutInPlace, alphaDropout, alphaDropoutInPlace, featureAlphaDropout,
    featureAlphaDropoutInPlace,
  ]

  /// `dropout`, with the same random numbers, written to `self`.
  public static let dropoutInPlace = OperatorDefinition(
    "dropout_(Tensor(a!) self, float p, bool train) -> Tensor(a!)",
    .composite { call in
      let input = try call.tensor(0)
      guard try call.probability(1) > 0, try call.bool(2) else { return call.arguments[0] }
      let noise = try dropout(.reference(input.onesLike()), call.arguments[1], call.arguments[2])
      return .reference(try input.mul_(noise))
    })

  /// `dropout` of whole features, dimension 1 of [N, C, …].
  public static let featureDropout = dropping("feature_dropout", isAlpha: false, ofFeatures: true)
  public static let featureDropoutInPlace = dropping(
    "feature_dropout_", isAlpha: false, ofFeatures: true, inPlace: true)

  /// Elements set to the value that SELU saturates at, and all mapped so that mean and variance stay.
  ///
  /// G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-normalizing neural networks", NIPS 2017.
  public static let alphaDropout = dropping("alpha_dropout", isAlpha: true, ofFeatures: false)
  public static let alphaDropoutInPlace = dropping("alpha_dropout_", isAlpha: true, ofFeatures: false, inPlace: true)

  /// `alpha_dropout` of whole features.
  public static let featureAlphaDropout = dropping("feature_alpha_dropout", isAlpha: true, ofFeatures: true)
  public static let featureAlphaDropoutInPlace = dropping(
    "feature_alpha_dropout_", isAlpha: true, ofFeatures: true, inPlace: true)

  private static func dropping(
    _ name: String, isAlpha: Bool, ofFeatures: Bool, inPlace: Bool = false
  ) -> OperatorDefinition {
    OperatorDefinition(
      inPlace
        ? "\(name)(Tensor(a!) self, float p, bool train) -> Tensor(a!)"
        : "\(name)(Tensor input, float p, bool train) -> Tensor",
      .composite { call in
        let input = try call.tensor(0)
        let p = try call.probability(1)
        guard p > 0, try call.bool(2), !input.layout.isEmpty else { return call.arguments[0] }
        guard input.dtype.isFloatingPoint, !ofFeatures || input.rank >= 2 else {
          throw OperatorError(
            .shape, call.target.name,
            "needs a floating-point input\(ofFeatures ? " [N, C, …]" : ""), got \(input.dtype) \(input.sizes)")
        }
        func map(scale: Tensor, shift: Tensor?) throws -> Tensor {
          let scaled = try inPlace ? input.mul_(scale) : input * scale
          guard let shift else { return scaled }
          return try inPlace ? scaled.add_(shift) : scaled + shift
        }
        let sizes = ofFeatures ? input.sizes[..<2] + input.sizes[2...].map { _ in 1 } : input.sizes
        let ones = try Tensor.ones([SymInt](sizes).values, dtype: input.dtype, device: input.device)
        if p == 1 { return .reference(try map(scale: ones.zerosLike(), shift: nil)) }
        let isKept = try bernoulli(.reference(ones), .double(1 - p))
        guard isAlpha else { return .reference(try map(scale: isKept / (1 - p), shift: nil)) }
        let slope = 1 / ((saturation * saturation * p + 1) * (1 - p)).squareRoot()
        let shift = try (isKept - (1 - p)) * (saturation * slope)
        return .reference(try map(scale: isKept * slope, shift: shift))
      })
  }

  // SELU's scale times its alpha: what it tends to, negated.
  private static let saturation = 1.7580993408473766
}

extension Tensor {
  /// In training, this tensor's elements with probability p set to 0 and the rest scaled by 1 / (1 - p), in place.
  @discardableResult
  public func dropout_(_ p: Double = 0.5, isTraining: Bool) throws -> Tensor {
    try OperatorLibrary.dropoutInPlace(.reference(self), .double(p), .bool(isTraining))
  }

  /// In training, features of [N, C, …] with probability p set to 0 and the rest scaled by 1 / (1 - p).
  public func featureDropout(_ p: Double = 0.5, isTraining: Bool) throws -> Tensor {
    try OperatorLibrary.featureDropout(.reference(self), .double(p), .bool(isTraining))
  }

  /// In training, elements with probability p set to where SELU saturates, mean and variance kept.
  public func alphaDropout(_ p: Double = 0.5, isTraining: Bool) throws -> Tensor {
    try OperatorLibrary.alphaDropout(.reference(self), .double(p), .bool(isTraining))
  }
}
