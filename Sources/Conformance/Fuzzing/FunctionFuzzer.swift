import AOTAutograd
import AOTAutogradTesting
import Dispatch
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Compares random functions compiled with what they do eagerly: `aot fuzz functions` and the tests run it.
public struct FunctionFuzzer: Sendable {
  private let seed: UInt64
  private let compiler: AOTConfiguration.Compiler

  /// - Parameter seed: Together with a case's number it decides everything about the case.
  public init(seed: UInt64, compiler: AOTConfiguration.Compiler = .cpu) {
    self.seed = seed
    self.compiler = compiler
  }

  /// A case in which a compiled function does not do what the eager one does.
  public struct Failure: Sendable {
    public let number: Int
    /// What is different in the smallest form of the case that was found.
    public let differences: String
    /// The captured graph.
    public let graph: String?
    /// A test in Swift that fails.
    public let test: String
  }

  /// What came of a range of cases.
  public struct Report: Sendable {
    public internal(set) var agreeing = 0
    /// Cases that a compiled function said it cannot do, by reason.
    public internal(set) var refusals: [String: Int] = [:]
    /// Cases whose arguments could not be made.
    public internal(set) var unmade = 0
    public internal(set) var failures: [Failure] = []
    /// How often each operator was called.
    public internal(set) var callCounts: [OperatorName: Int] = [:]

    public var caseCount: Int { agreeing + refusalCount + unmade + failures.count }
    public var refusalCount: Int { refusals.values.reduce(0, +) }
  }

  /// Tries the cases of some numbers, on several threads.
  ///
  /// - Parameters:
  ///   - maximumFailureCount: No new case is begun after so many failures.
  ///   - progress: Told now and then, on one of the threads, what has come of the cases so far.
  public func run(
    _ numbers: Range<Int>, threadCount: Int = 1, maximumFailureCount: Int = 10,
    progress: @Sendable (Report) -> Void = { _ in }
  ) -> Report {
    let shared = Locked((next: numbers.lowerBound, report: Report()))
    let chunkSize = 64
    DispatchQueue.concurrentPerform(iterations: threadCount) { _ in
      while true {
        let chunk = shared.withLock { shared -> Range<Int> in
          guard shared.report.failures.count < maximumFailureCount else { return 0..<0 }
          let start = shared.next
          shared.next = min(numbers.upperBound, start + chunkSize)
          return start..<shared.next
        }
        if chunk.isEmpty { return }
        var report = Report()
        for number in chunk where report.failures.count < maximumFailureCount { report.add(check(number)) }
        progress(
          shared.withLock { shared in
            shared.report.add(report)
            return shared.report
          })
      }
    }
    return shared.withLock { $0.report.sorted() }
  }
}

extension FunctionFuzzer {
  /// What came of one case.
  private func check(_ number: Int) -> Report {
    var report = Report()
    var generator = CaseGenerator(seed: seed, number: number, compiler: compiler)
    do {
      // Steps that are tried draw random numbers too.
      let functionCase = try Generator(seed: seed).use { try generator.makeCase() }
      report.callCounts = functionCase.callCounts
      switch try functionCase.check() {
      case .agrees: report.agreeing = 1
      case .refuses(_, let error): report.refusals[error.reason] = 1
      case .differs: report.failures = [failure(number, functionCase)]
      }
    } catch { report.unmade = 1 }
    return report
  }

  private func failure(_ number: Int, _ functionCase: FunctionCase) -> Failure {
    let shrunk = functionCase.shrunk { $0.difference != nil }
    let differences = (shrunk.difference ?? functionCase.difference).map { "\($0)" } ?? "not the same at every run"
    let name = "testFuzzSeed\(seed)Case\(number)"
    return Failure(
      number: number, differences: differences, graph: shrunk.capturedGraph(),
      test: shrunk.testSource(named: name, comment: differences))
  }
}

extension FunctionCase {
  fileprivate var difference: FunctionCheckError? {
    guard case .differs(let error)? = try? check() else { return nil }
    return error
  }

  fileprivate var callCounts: [OperatorName: Int] {
    var counts: [OperatorName: Int] = [:]
    for step in body.steps { if case .call(let target, _) = step.action { counts[target.name, default: 0] += 1 } }
    return counts
  }
}

extension FunctionFuzzer.Report {
  fileprivate mutating func add(_ other: Self) {
    agreeing += other.agreeing
    unmade += other.unmade
    refusals.merge(other.refusals, uniquingKeysWith: +)
    callCounts.merge(other.callCounts, uniquingKeysWith: +)
    failures += other.failures
  }

  fileprivate func sorted() -> Self {
    var report = self
    report.failures.sort { $0.number < $1.number }
    return report
  }

  /// Of each kind of operator how many were called, how many there are, and the names of those that were not.
  public var coverage: [(role: String, reached: Int, all: Int, missing: [OperatorName])] {
    let pool = OperatorPool.library
    let roles = [("view", pool.views), ("in-place", pool.writes)]
    return roles.map { role, operators in
      let missing = operators.map(\.name).filter { callCounts[$0] == nil }
      return (role, operators.count - missing.count, operators.count, missing)
    }
  }
}

extension Error {
  /// The message without what differs from case to case: sizes, numbers of arguments.
  fileprivate var reason: String {
    "\(unlocated)".replacing(#/\d+/#, with: "N")
  }
}
