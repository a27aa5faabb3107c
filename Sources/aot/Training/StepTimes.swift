/// How long each step of a training run took.
struct StepTimes {
  private var durations: [Duration] = []

  /// Runs a step and notes its time.
  mutating func measure<Result>(_ step: () throws -> Result) rethrows -> Result {
    let start = ContinuousClock.now
    let result = try step()
    durations.append(ContinuousClock.now - start)
    return result
  }

  var count: Int { durations.count }
  var first: Duration { durations.first ?? .zero }
  /// The median of the steps after the first.
  var steady: Duration { (durations.count > 1 ? Array(durations.dropFirst()) : durations).median }

  /// Of the latest steps.
  var perSecond: Double {
    let latest = durations.suffix(20)
    let total = latest.reduce(.zero, +).seconds
    return total > 0 ? Double(latest.count) / total : 0
  }
}

extension [Duration] {
  var median: Duration { isEmpty ? .zero : sorted()[count / 2] }
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
  var milliseconds: Double { seconds * 1e3 }
}
