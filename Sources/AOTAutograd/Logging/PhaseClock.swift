/// Measures the parts of a compilation.
struct PhaseClock {
  private(set) var durations: [CompilationPhase: Duration] = [:]

  /// Runs `body`; what it takes counts for a phase.
  mutating func measure<Result>(_ phase: CompilationPhase, _ body: () throws -> Result) rethrows -> Result {
    let start = ContinuousClock.now
    defer { durations[phase, default: .zero] += ContinuousClock.now - start }
    return try body()
  }
}
