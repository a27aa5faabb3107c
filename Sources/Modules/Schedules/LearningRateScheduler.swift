import AOTAutograd

/// Sets the learning rates of an optimizer by a schedule: call `step()` after each optimizer step.
public final class LearningRateScheduler {
  private let optimizer: Optimizer
  private let schedule: any LearningRateSchedule
  /// The step whose rates are set.
  public private(set) var position = 0

  /// Sets the rates of step 0.
  public init(_ optimizer: Optimizer, _ schedule: any LearningRateSchedule) throws {
    self.optimizer = optimizer
    self.schedule = schedule
    try move(to: 0)
  }

  /// Sets the rates of the next step.
  public func step() throws { try move(to: position + 1) }

  /// Sets the rates of a step.
  ///
  /// - Throws: `ModuleError` where it is negative.
  public func move(to position: Int) throws {
    guard position >= 0 else { throw ModuleError(.invalidSetting, "there is no step \(position) in a schedule") }
    for group in optimizer.groups {
      try group.setLearningRate(schedule.rate(at: position, initial: group.initialLearningRate))
    }
    self.position = position
  }
}
