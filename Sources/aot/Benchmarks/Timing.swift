/// How long something takes: the one clock of all benchmarks.
enum Timing {
  /// The median time of one call of `body`.
  ///
  /// Calls are timed in groups long enough for the clock, after a group that warms caches up.
  ///
  /// - Parameters:
  ///   - groupCount: How many groups the median is taken over.
  ///   - minimum: The least time of a group.
  static func median(
    groups groupCount: Int = 7, of minimum: Duration = .milliseconds(20), _ body: () throws -> Void
  ) rethrows -> Duration {
    let clock = ContinuousClock()
    var callCount = 1
    var duration = try clock.measure { try body() }
    while duration < minimum {
      let wanted = minimum.seconds / max(duration.seconds, 1e-9) * Double(callCount) * 1.2
      callCount = max(callCount * 2, min(Int(wanted) + 1, callCount * 100))
      duration = try clock.measure { for _ in 0..<callCount { try body() } }
    }
    var groups: [Duration] = []
    for _ in 0..<groupCount {
      groups.append(try clock.measure { for _ in 0..<callCount { try body() } } / callCount)
    }
    return groups.median
  }
}
