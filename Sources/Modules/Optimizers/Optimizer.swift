import AOTAutograd

/// Changes parameters by their gradients.
///
///     let optimizer = try Optimizer(model, AdamW(weightDecay: 0.1), learningRate: 1e-3)
///     try model(x).crossEntropyLoss(y).backward()
///     try optimizer.step()
///     optimizer.zeroGrad()
///
/// Everything that it keeps is in tensors made at the start, so that a whole step can be compiled: `aotTrainingStep`.
public final class Optimizer {
  public let groups: [ParameterGroup]

  /// - Throws: `ModuleError` where a parameter or a name is there twice.
  public init(_ groups: [ParameterGroup]) throws {
    self.groups = groups
    let parameters = groups.flatMap(\.parameters)
    guard parameters.withoutRepetition.count == parameters.count else {
      throw ModuleError(.duplicateName, "an optimizer was given a parameter twice")
    }
    _ = try StateDict(parameters)
  }

  /// - Throws: As `ParameterGroup`, and where a parameter or a name is there twice.
  public convenience init(_ parameters: [NamedTensor], _ rule: some UpdateRule, learningRate: Double) throws {
    try self.init([ParameterGroup(parameters, rule, learningRate: learningRate)])
  }

  /// Optimizes all parameters of a module.
  public convenience init(_ module: Module, _ rule: some UpdateRule, learningRate: Double) throws {
    try self.init(module.namedParameters, rule, learningRate: learningRate)
  }

  public var parameters: [NamedTensor] { groups.flatMap(\.parameters) }

  /// Updates all parameters that have a gradient.
  public func step() throws { try update(by: parameters.map(\.tensor.grad)) }

  /// Updates parameters by gradients that are given, in the order of `parameters`; nil leaves one as it is.
  ///
  /// It can be captured: it is what a compiled training step does.
  public func update(by gradients: [Tensor?]) throws {
    let updates = groups.flatMap { group in group.updates.map { ($0, group.rate) } }
    guard gradients.count == updates.count else {
      throw ModuleError(
        .invalidSetting, "an optimizer of \(updates.count) parameters was given \(gradients.count) gradients")
    }
    try noGrad {
      for ((update, rate), gradient) in zip(updates, gradients) {
        if let gradient { try update.apply(gradient, rate: rate) }
      }
    }
  }

  /// Forgets the gradients of all parameters.
  public func zeroGrad() { for parameter in parameters { parameter.tensor.grad = nil } }

  /// What is kept for each parameter, as `layers.0.weight.exp_avg`, and each group's learning rate, as `groups.0.rate`. The
  /// tensors are the optimizer's own.
  public var stateDict: StateDict {
    get throws {
      let states = groups.flatMap(\.updates).flatMap { $0.state.named(inside: $0.parameter.name) }
      let rates = groups.enumerated().map { NamedTensor("groups.\($0).rate", $1.rate) }
      return try StateDict(states + rates)
    }
  }

  /// Copies what `stateDict` of an optimizer of the same parameters and rules gave.
  ///
  /// - Throws: `ModuleError` that lists all names, shapes and types that do not fit. Nothing has changed then.
  public func load(_ state: StateDict) throws {
    let targets = try stateDict.entries
    try state.check(against: targets, of: "the optimizer")
    try state.copy(into: targets)
  }
}
