import AOTAutograd

/// Parameters that are updated by one rule at one learning rate.
public final class ParameterGroup {
  let updates: [ParameterUpdate]
  /// f64[], the learning rate: compiled training steps read it anew at each call.
  let rate: Tensor
  /// The learning rate that the group was made with; schedules multiply it.
  public let initialLearningRate: Double

  /// - Throws: `ModuleError` where a parameter cannot be trained, or the rate is negative.
  public init<Rule: UpdateRule>(_ parameters: [NamedTensor], _ rule: Rule, learningRate: Double) throws {
    guard learningRate >= 0 else {
      throw ModuleError(.invalidSetting, "a learning rate of \(learningRate) is negative")
    }
    updates = try parameters.map { parameter in
      guard parameter.tensor.isLeaf, parameter.tensor.dtype.isFloatingPoint else {
        throw ModuleError(
          .notTrainable,
          "'\(parameter.name)' cannot be optimized: it is \(parameter.tensor.isLeaf ? "\(parameter.tensor.dtype)" : "computed from other tensors"); "
            + "only leaves of floating-point types can")
      }
      return RuleUpdate(parameter, rule, try noGrad { try rule.makeState(for: parameter.tensor.detach()) })
    }
    rate = try Tensor.scalar(learningRate, dtype: .float64)
    initialLearningRate = learningRate
  }

  public var parameters: [NamedTensor] { updates.map(\.parameter) }

  /// The learning rate. It can be changed between steps; no compiled step is compiled anew for it.
  public var learningRate: Double {
    get throws { try rate.item().doubleValue }
  }

  public func setLearningRate(_ value: Double) throws { _ = try noGrad { try rate.fill_(value) } }
}

/// A parameter with what is kept for it, its rule's type left open.
class ParameterUpdate {
  let parameter: NamedTensor

  init(_ parameter: NamedTensor) { self.parameter = parameter }

  var state: [NamedTensor] { [] }

  func apply(_ gradient: Tensor, rate: Tensor) throws {}
}

private final class RuleUpdate<Rule: UpdateRule>: ParameterUpdate {
  private let rule: Rule
  private let ruleState: Rule.State

  init(_ parameter: NamedTensor, _ rule: Rule, _ state: Rule.State) {
    self.rule = rule
    ruleState = state
    super.init(parameter)
  }

  override var state: [NamedTensor] { ruleState.namedTensors }

  override func apply(_ gradient: Tensor, rate: Tensor) throws {
    try rule.update(parameter.tensor, by: gradient, rate: rate, ruleState)
  }
}
