import AOTAutograd
import ModelFormats

/// Something that can go on from a state that was saved: modules, optimizers, schedules, training steps, generators, and types of
/// your own.
public protocol Checkpointable {
  /// The state, as tensors: some may be this one's own, others made for it.
  var checkpointState: StateDict { get throws }

  /// Checks that a state is one that this can go on from.
  ///
  /// - Returns: What takes it over. Nothing changes before that is called.
  /// - Throws: An error that says what does not fit.
  func restoration(from state: StateDict) throws -> () throws -> Void
}

extension Module: Checkpointable {
  public var checkpointState: StateDict { get throws { try stateDict } }

  public func restoration(from state: StateDict) throws -> () throws -> Void {
    try state.restoration(into: stateDict.entries, of: "\(type(of: self))")
  }
}

extension ImportedModel: Checkpointable {
  public var checkpointState: StateDict {
    get throws { try StateDict((parameters + buffers).map { Modules.NamedTensor($0.name, $0.tensor) }) }
  }

  public func restoration(from state: StateDict) throws -> () throws -> Void {
    try state.restoration(into: checkpointState.entries, of: "the model '\(name)'")
  }
}

extension Optimizer: Checkpointable {
  public var checkpointState: StateDict { get throws { try stateDict } }

  public func restoration(from state: StateDict) throws -> () throws -> Void {
    try state.restoration(into: stateDict.entries, of: "the optimizer")
  }
}

extension LearningRateScheduler: Checkpointable {
  public var checkpointState: StateDict { get throws { try StateDict(integers: ["position": position]) } }

  public func restoration(from state: StateDict) throws -> () throws -> Void {
    let integers = try state.integers(["position"], of: "the learning-rate scheduler")
    guard integers[0] >= 0 else {
      throw ModuleError(.invalidSetting, "there is no step \(integers[0]) in a schedule")
    }
    return { try self.move(to: integers[0]) }
  }
}

extension Generator: Checkpointable {
  public var checkpointState: StateDict {
    get throws {
      let (key, counter) = position
      return try StateDict(integers: [
        "seed": Int(truncatingIfNeeded: key), "counter": Int(truncatingIfNeeded: counter),
      ])
    }
  }

  public func restoration(from state: StateDict) throws -> () throws -> Void {
    let integers = try state.integers(["seed", "counter"], of: "the random generator")
    return { self.move(to: (UInt64(truncatingIfNeeded: integers[0]), UInt64(truncatingIfNeeded: integers[1]))) }
  }
}

extension TrainingStep: Checkpointable {
  /// What has been accumulated of a step that is not complete.
  public var checkpointState: StateDict { get throws { try StateDict(accumulationState()) } }

  public func restoration(from state: StateDict) throws -> () throws -> Void {
    let targets = try accumulationState()
    try state.check(against: targets, of: "the training step")
    let position = try state["position"]?.elements(as: Int.self).first ?? 0
    guard 0..<batchCount ~= position else {
      throw ModuleError(
        .invalidSetting, "batch \(position) is none of a training step that accumulates \(batchCount) batches")
    }
    return {
      try state.copy(into: targets)
      self.setPosition(position)
    }
  }
}

extension StateDict {
  fileprivate func restoration(into targets: [NamedTensor], of what: String) throws -> () throws -> Void {
    try check(against: targets, of: what)
    return { try copy(into: targets) }
  }

  /// A state of plain numbers, each an i64[].
  public init(integers: KeyValuePairs<String, Int>) throws {
    try self.init(integers.map { NamedTensor($0.key, try Tensor([$0.value], shape: [])) })
  }

  /// The numbers of a state that is made of these alone.
  ///
  /// - Parameter what: Says whose state it is, for messages.
  /// - Throws: `ModuleError` that lists all names, shapes and types that do not fit.
  public func integers(_ names: [String], of what: String) throws -> [Int] {
    try check(against: names.map { NamedTensor($0, try .zeros([], dtype: .int64)) }, of: what)
    return try names.compactMap { try self[$0]?.elements(as: Int.self).first }
  }
}
