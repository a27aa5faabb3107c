import Conformance
import GraphIR

/// What `aot fuzz functions` prints.
enum FuzzPrinter {
  static func print(_ failure: FunctionFuzzer.Failure, _ console: Console) {
    console.print("\ncase \(failure.number) differs at \(failure.differences)")
    if let graph = failure.graph { console.print("\ncaptured:\n\(graph)") }
    console.print("\n\(failure.test)")
  }

  static func print(_ report: FunctionFuzzer.Report, seconds: Double, _ console: Console) {
    let rate = Int(Double(report.caseCount) / max(seconds, 1e-9))
    console.print(
      "\n\(report.caseCount) cases in \(Int(seconds)) s, \(rate) a second: \(report.agreeing) agree, "
        + "\(report.failures.count) differ, \(report.refusalCount) refused, \(report.unmade) not made")
    for (reason, count) in report.refusals.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
      console.print("refused \(count): \(reason)")
    }
    for part in report.coverage {
      let missing = part.missing.isEmpty ? "" : "; never: " + part.missing.map(\.description).joined(separator: ", ")
      console.print("\(part.role) operators: \(part.reached) of \(part.all)\(missing)")
    }
  }
}
