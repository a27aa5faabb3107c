import Conformance
import Foundation

/// Prints the results of a replay as they come, and their numbers last.
final class ReplayPrinter {
  private let console: Console
  private let asJSON: Bool
  private var passed = 0
  private var failed = 0
  private var skipped: [String: Int] = [:]

  init(_ console: Console, asJSON: Bool) {
    self.console = console
    self.asJSON = asJSON
  }

  func add(_ result: ReplayResult) {
    switch result.outcome {
    case .passed: passed += 1
    case .failed(let mismatch):
      failed += 1
      if asJSON {
        printJSON(
          result,
          [
            "outcome": "failed", "subject": mismatch.subject, "expected": mismatch.expected, "got": mismatch.got,
          ])
      } else {
        console.print("FAILED \(result.id): \(mismatch)")
      }
    case .skipped(let reason):
      skipped[reason, default: 0] += 1
      if asJSON { printJSON(result, ["outcome": "skipped", "reason": reason]) }
    }
  }

  private func printJSON(_ result: ReplayResult, _ members: [String: String]) {
    let object = members.merging(["id": result.id, "operator": result.operatorName]) { $1 }
    if let line = try? JSONSerialization.data(withJSONObject: object, options: [.sortedKeys]) {
      console.print(String(decoding: line, as: UTF8.self))
    }
  }

  /// - Throws: An error where a case failed.
  func finish() throws {
    if !asJSON {
      for (reason, count) in skipped.sorted(by: { $0.key < $1.key }) { console.print("skipped \(count): \(reason)") }
    }
    console.print("\(passed) passed, \(failed) failed, \(skipped.values.reduce(0, +)) skipped")
    if failed > 0 { throw DataError(description: "\(failed) cases are not as recorded") }
  }
}
