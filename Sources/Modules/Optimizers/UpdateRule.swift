import AOTAutograd

/// How a parameter is changed by its gradient: an optimization algorithm, in tensor operations.
///
///     struct SignDescent: UpdateRule {
///       func makeState(for parameter: Tensor) -> NoState { NoState() }
///       func update(_ parameter: Tensor, by gradient: Tensor, rate: Tensor, _ state: NoState) throws {
///         try parameter.sub_(gradient.sign() * rate)
///       }
///     }
///
/// Rules run with gradients off, eagerly or while a training step is captured: what changes from step to step has to be in tensors.
public protocol UpdateRule: Sendable {
  associatedtype State: OptimizerState

  /// What the rule keeps for a parameter between steps.
  func makeState(for parameter: Tensor) throws -> State

  /// Changes the parameter, in place.
  ///
  /// - Parameters:
  ///   - gradient: Of the parameter's shape; it must not be written to.
  ///   - rate: f64[], the learning rate.
  func update(_ parameter: Tensor, by gradient: Tensor, rate: Tensor, _ state: State) throws
}

/// What an update rule keeps for a parameter: a structure whose stored properties are tensors, which are saved under their names.
public protocol OptimizerState {}

/// The state of a rule that keeps nothing.
public struct NoState: OptimizerState {
  public init() {}
}

extension OptimizerState {
  /// The tensors, with the names of their properties: `expAvg` is `exp_avg`, as in PyTorch.
  var namedTensors: [NamedTensor] {
    Mirror(reflecting: self).children.compactMap { child in
      // An optional that is there conforms as what it holds.
      (child.value as? Tensor).map { NamedTensor((child.label ?? "").snakeCased, $0) }
    }
  }
}
