/// A source of random numbers: a seed, and how many numbers it has given so far.
///
/// Every draw takes the next range of counters of a Philox generator, so that a seed decides all that follows, and draws on
/// several threads never overlap.
public final class Generator: Sendable {
  private struct State {
    var key: UInt64
    var counter: UInt64
    var seedCount = 0
  }

  /// What random operators draw from where no other generator is in use.
  public static let `default` = Generator(seed: UInt64.random(in: .min ... .max))

  private final class Current { var generator: Generator? }
  private static let current = ThreadLocal { Current() }

  private let state: Locked<State>

  public convenience init(seed: UInt64) { self.init(key: seed, counter: 0) }

  /// A generator whose next draw starts at a counter.
  package convenience init(key: UInt64, counter: UInt64) { self.init(State(key: key, counter: counter)) }

  /// Starts over from a seed.
  public func seed(_ seed: UInt64) {
    state.withLock { $0 = State(key: seed, counter: 0, seedCount: $0.seedCount + 1) }
  }

  /// The seed and how many numbers have been given: all that decides what comes.
  package var position: (key: UInt64, counter: UInt64) { state.withLock { ($0.key, $0.counter) } }

  /// Goes on as a generator at that position would.
  package func move(to position: (key: UInt64, counter: UInt64)) {
    state.withLock { $0 = State(key: position.key, counter: position.counter, seedCount: $0.seedCount + 1) }
  }

  /// A generator that gives the numbers which this one will give.
  package func copy() -> Generator {
    let state = state.withLock { $0 }
    return Generator(state)
  }

  private init(_ state: State) { self.state = Locked(state) }

  /// How often the generator was started over.
  package var seedCount: Int { state.withLock { $0.seedCount } }

  /// Takes a range of counters that no other draw gets, and returns its start.
  package func take(blocks: Int) -> (philox: Philox, counter: UInt64) {
    state.withLock { state in
      defer { state.counter &+= UInt64(blocks) }
      return (Philox(key: state.key), state.counter)
    }
  }

  /// What the calling thread's random operators draw from.
  package static var inUse: Generator { current.value.generator ?? .default }

  /// Runs `body` with the random operators of this thread drawing from this generator.
  public func use<Result>(_ body: () throws -> Result) rethrows -> Result {
    let context = Self.current.value
    let saved = context.generator
    context.generator = self
    defer { context.generator = saved }
    return try body()
  }
}

/// Starts the default generator over from a seed.
public func manualSeed(_ seed: UInt64) { Generator.default.seed(seed) }
