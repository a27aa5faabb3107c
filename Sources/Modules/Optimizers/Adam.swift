import AOTAutograd
import Foundation

/// D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", 2015: `torch.optim.Adam`.
public struct Adam: UpdateRule {
  private let moments: AdaptiveMoments
  public let weightDecay: Double

  /// - Parameters:
  ///   - betas: The shares of the past in the means of gradients and of their squares.
  ///   - eps: Added to the root of the squares' mean.
  ///   - weightDecay: The share of the parameter that is added to its gradient.
  ///   - amsgrad: Whether the largest mean of squares so far is used: S. J. Reddi and others, 2018.
  /// - Throws: `ModuleError` for settings that make no sense.
  public init(
    betas: (Double, Double) = (0.9, 0.999), eps: Double = 1e-8, weightDecay: Double = 0, amsgrad: Bool = false
  ) throws {
    moments = try AdaptiveMoments("Adam", betas: betas, eps: eps, weightDecay: weightDecay, amsgrad: amsgrad)
    self.weightDecay = weightDecay
  }

  public func makeState(for parameter: Tensor) throws -> AdaptiveMoments.State {
    try moments.makeState(for: parameter)
  }

  public func update(
    _ parameter: Tensor, by gradient: Tensor, rate: Tensor, _ state: AdaptiveMoments.State
  ) throws {
    let decayed = weightDecay == 0 ? gradient : try gradient.add(parameter, alpha: .double(weightDecay))
    try moments.update(parameter, by: decayed, rate: rate, state)
  }
}

/// Adam with decoupled weight decay: I. Loshchilov and F. Hutter, 2019: `torch.optim.AdamW`.
public struct AdamW: UpdateRule {
  private let moments: AdaptiveMoments
  public let weightDecay: Double

  /// - Parameters: As for `Adam`, but for
  ///   - weightDecay: The share of the parameter that each step takes away, times the learning rate.
  /// - Throws: `ModuleError` for settings that make no sense.
  public init(
    betas: (Double, Double) = (0.9, 0.999), eps: Double = 1e-8, weightDecay: Double = 0.01, amsgrad: Bool = false
  ) throws {
    moments = try AdaptiveMoments("AdamW", betas: betas, eps: eps, weightDecay: weightDecay, amsgrad: amsgrad)
    self.weightDecay = weightDecay
  }

  public func makeState(for parameter: Tensor) throws -> AdaptiveMoments.State {
    try moments.makeState(for: parameter)
  }

  public func update(
    _ parameter: Tensor, by gradient: Tensor, rate: Tensor, _ state: AdaptiveMoments.State
  ) throws {
    if weightDecay != 0 { try parameter.mul_(1 - rate * weightDecay) }
    try moments.update(parameter, by: gradient, rate: rate, state)
  }
}

/// What Adam and AdamW have in common: a step in the direction of the gradients' mean, divided by the root of their mean square.
public struct AdaptiveMoments: Sendable {
  private let beta1, beta2, eps: Double
  private let amsgrad: Bool

  init(_ name: String, betas: (Double, Double), eps: Double, weightDecay: Double, amsgrad: Bool) throws(ModuleError) {
    guard 0..<1 ~= betas.0, 0..<1 ~= betas.1, eps >= 0, weightDecay >= 0 else {
      throw ModuleError(
        .invalidSetting,
        "\(name): betas \(betas) have to be in 0..<1, eps \(eps) and weight decay \(weightDecay) not negative")
    }
    (beta1, beta2, self.eps, self.amsgrad) = (betas.0, betas.1, eps, amsgrad)
  }

  public struct State: OptimizerState {
    /// f64[], the number of updates so far.
    let step: Tensor
    let expAvg, expAvgSq: Tensor
    /// nil without amsgrad.
    let maxExpAvgSq: Tensor?
  }

  func makeState(for parameter: Tensor) throws -> State {
    State(
      step: try .zeros([], dtype: .float64), expAvg: try parameter.zerosLike(), expAvgSq: try parameter.zerosLike(),
      maxExpAvgSq: amsgrad ? try parameter.zerosLike() : nil)
  }

  func update(_ parameter: Tensor, by gradient: Tensor, rate: Tensor, _ state: State) throws {
    try state.step.add_(1)
    try state.expAvg.lerp_(gradient, weight: 1 - beta1)
    try state.expAvgSq.mul_(beta2).addcmul_(gradient, gradient, value: .double(1 - beta2))
    var squares = state.expAvgSq
    if let largest = state.maxExpAvgSq { squares = try largest.copy_(largest.maximum(squares)) }
    let stepSize = try rate / correction(beta1, state.step)
    let denominator = try squares.sqrt().div_(correction(beta2, state.step).sqrt()).add_(eps)
    try parameter.sub_((state.expAvg * stepSize).div_(denominator))
  }

  /// 1 - βⁿ: what the mean of a first n values lacks, as it started from 0.
  private func correction(_ beta: Double, _ step: Tensor) throws -> Tensor {
    beta == 0 ? try step.onesLike() : try (step * log(beta)).expm1().neg()
  }
}
