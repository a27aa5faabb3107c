import GraphIR
import TensorCore

/// Losses of how likely a distribution makes a target.
extension OperatorLibrary {
  static let distributionLosses = [klDiv, poissonNLLLoss]

  /// target · (log(target) - self), reduced: `self` holds logarithms, as does the target with `log_target`.
  public static let klDiv = OperatorDefinition(
    "kl_div(Tensor self, Tensor target, int reduction=1, *, bool log_target=False) -> Tensor",
    .composite { call in
      let (input, target) = (try call.tensor(0), try call.tensor(1))
      guard input.dtype.isFloatingPoint, target.dtype.isFloatingPoint else {
        throw OperatorError(
          .dtype, call.target.name, "needs floating-point operands, got \(input.dtype) and \(target.dtype)")
      }
      let terms =
        try call.bool(3) ? target.exp() * (target - input) : target.xlogy(target) - target * input
      return .reference(try terms.reduced(call.lossReduction(2)))
    })

  /// The negative log-likelihood of counts under a Poisson distribution of mean `input`, or exp(input); `full` adds
  /// Stirling's approximation of the term that depends on the target alone. Reduced.
  public static let poissonNLLLoss = OperatorDefinition(
    """
    poisson_nll_loss(Tensor input, Tensor target, bool log_input, bool full, float eps, int reduction) -> Tensor
    """,
    .composite { call in
      let (input, target) = (try call.tensor(0), try call.tensor(1))
      var terms =
        try call.bool(2) ? input.exp() - target * input : input - target * (input + call.scalar(4)).log()
      if try call.bool(3) {
        let stirling = try target * target.log() - target + (target * (2 * Double.pi)).log() * 0.5
        terms = try terms + stirling.maskedFill(target.le(1), 0)
      }
      return .reference(try terms.reduced(call.lossReduction(5)))
    })
}

extension Tensor {
  /// The Kullback-Leibler divergence of these log-probabilities from a target's probabilities.
  public func klDiv(_ target: Tensor, reduction: LossReduction = .mean, logTarget: Bool = false) throws -> Tensor {
    try OperatorLibrary.klDiv(.reference(self), .reference(target), Value(reduction.rawValue), .bool(logTarget))
  }

  /// The negative log-likelihood of counts under Poisson distributions with these means, or their logarithms.
  public func poissonNLLLoss(
    _ target: Tensor, logInput: Bool = true, full: Bool = false, eps: Double = 1e-8, reduction: LossReduction = .mean
  ) throws -> Tensor {
    try OperatorLibrary.poissonNLLLoss(
      .reference(self), .reference(target), .bool(logInput), .bool(full), .double(eps), Value(reduction.rawValue))
  }
}
