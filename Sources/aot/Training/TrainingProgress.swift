import Modules

/// How far a training has come: what a checkpoint says besides the model, its optimizer and its schedule.
final class TrainingProgress: Checkpointable {
  /// What data is drawn by.
  var random: SeededRandom
  /// How many epochs or steps are done.
  var completedCount = 0
  /// The smoothed loss; nil before the first step, and where none is kept.
  var loss: Double?

  init(seed: Int) { random = SeededRandom(seed: seed) }

  var checkpointState: StateDict {
    get throws {
      let numbers = try StateDict(integers: [
        "completed": completedCount, "seed": random.seed, "drawn": random.position,
      ])
      let loss = try Tensor([self.loss ?? .nan], shape: [])
      return try StateDict(numbers.entries + [NamedTensor("loss", loss)])
    }
  }

  func restoration(from state: StateDict) throws -> () throws -> Void {
    let numbers = try StateDict(state.entries.filter { $0.name != "loss" })
      .integers(["completed", "seed", "drawn"], of: "the progress of a training")
    guard let loss = state["loss"], loss.shape.isEmpty, numbers[0] >= 0 else {
      throw ModuleError(.missingName, "the progress of a training says neither its loss nor how far it has come")
    }
    let value = try loss.item().doubleValue
    return {
      self.completedCount = numbers[0]
      self.random = SeededRandom(seed: numbers[1], position: numbers[2])
      self.loss = value.isNaN ? nil : value
    }
  }
}
