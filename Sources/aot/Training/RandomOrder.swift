import Modules

/// Where a training is in its random order of data.
final class RandomOrder {
  var random: SeededRandom

  init(seed: Int) { random = SeededRandom(seed: seed) }
}
