import AOTAutograd
import EagerAutograd
import Foundation
import GraphIR
import Operators
import TensorCore

/// Replays recorded operator calls and compares results, inputs that change, gradients and errors.
public struct OperatorReplay {
  private let facts: OperatorFacts
  private let operators: any OperatorTable
  private let mode: ReplayMode

  public init(
    _ facts: OperatorFacts, operators: any OperatorTable = OperatorLibrary.table, mode: ReplayMode = .eager
  ) {
    self.facts = facts
    self.operators = operators
    self.mode = mode
  }

  /// Replays the calls of all operators whose names contain a text; each result is given as it comes.
  public func run(filter: String? = nil, _ report: (ReplayResult) -> Void) {
    for item in facts.cases where filter.map(item.operatorName.contains) ?? true {
      report(ReplayResult(id: item.id, operatorName: item.operatorName, outcome: outcome(of: item)))
    }
  }

  private func outcome(of item: OperatorCase) -> ReplayResult.Outcome {
    guard let target = OperatorName("aten.\(item.operatorName)").flatMap(operators.lookup) as? OperatorDefinition else {
      return .failed(Mismatch("operator", expected: "one of that name", got: "none in the library"))
    }
    do {
      let call = RecordedCall(item, target, facts, mode)
      if let error = item.error {
        try call.checkFails(error)
      } else {
        try call.check()
      }
      return .passed
    } catch let mismatch as Mismatch {
      return .failed(mismatch)
    } catch let error as OperatorError where error.code == .dataDependent && mode.isCapturing {
      return .skipped("what it gives depends on elements, or a place in memory, that a captured function does not have")
    } catch {
      return .failed(Mismatch("call", expected: "a result", got: "the error \"\(error)\""))
    }
  }
}

/// What came of replaying one recorded call.
public struct ReplayResult: Sendable {
  public enum Outcome: Sendable {
    case passed
    case failed(Mismatch)
    /// The call cannot be made this way, for that reason.
    case skipped(String)
  }

  public let id: String
  public let operatorName: String
  public let outcome: Outcome
}
