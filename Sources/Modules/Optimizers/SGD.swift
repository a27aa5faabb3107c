import AOTAutograd

/// Stochastic gradient descent, with momentum and in Nesterov's form where asked for: `torch.optim.SGD`.
///
///     v ← momentum · v + (1 - dampening) · g
///     p ← p - rate · v
public struct SGD: UpdateRule {
  public let momentum: Double
  public let dampening: Double
  public let weightDecay: Double
  public let nesterov: Bool

  /// - Parameters:
  ///   - momentum: The share of the last step in the next.
  ///   - dampening: How much less of the gradient goes into the momentum; not at the first step.
  ///   - weightDecay: The share of the parameter that is added to its gradient.
  ///   - nesterov: Whether the step is that of the gradient plus the momentum to come.
  /// - Throws: `ModuleError` for settings that make no sense.
  public init(momentum: Double, dampening: Double = 0, weightDecay: Double = 0, nesterov: Bool = false) throws {
    guard momentum >= 0, weightDecay >= 0 else {
      throw ModuleError(
        .invalidSetting, "SGD: momentum \(momentum) and weight decay \(weightDecay) must not be negative")
    }
    guard !nesterov || (momentum > 0 && dampening == 0) else {
      throw ModuleError(.invalidSetting, "SGD: Nesterov's form needs momentum and no dampening")
    }
    self.momentum = momentum
    self.dampening = dampening
    self.weightDecay = weightDecay
    self.nesterov = nesterov
  }

  /// Plain gradient descent.
  public init() { (momentum, dampening, weightDecay, nesterov) = (0, 0, 0, false) }

  public struct State: OptimizerState {
    /// nil without momentum.
    let momentumBuffer: Tensor?
    /// f64[]; nil without dampening, which alone depends on it.
    let step: Tensor?
  }

  public func makeState(for parameter: Tensor) throws -> State {
    State(
      momentumBuffer: momentum == 0 ? nil : try parameter.zerosLike(),
      step: momentum == 0 || dampening == 0 ? nil : try .zeros([], dtype: .float64))
  }

  public func update(_ parameter: Tensor, by gradient: Tensor, rate: Tensor, _ state: State) throws {
    let decayed = weightDecay == 0 ? gradient : try gradient.add(parameter, alpha: .double(weightDecay))
    guard let buffer = state.momentumBuffer else {
      try parameter.addcmul_(decayed, rate, value: -1)
      return
    }
    try buffer.mul_(momentum)
    if let step = state.step {
      let share = try 1 - step.gt(0).to(.float64) * dampening
      try buffer.addcmul_(decayed, share)
      try step.add_(1)
    } else {
      try buffer.add_(decayed)
    }
    let direction = nesterov ? try decayed.add(buffer, alpha: .double(momentum)) : buffer
    try parameter.addcmul_(direction, rate, value: -1)
  }
}
