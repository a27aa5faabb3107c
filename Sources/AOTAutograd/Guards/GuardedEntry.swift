import Capture
import GraphIR
import Operators
import TensorCore

/// What a compiled entry relies on. It is not generic: that would take longer than most checks.
class GuardedEntry: @unchecked Sendable {
  // Sendable: constant after `init`; the captured tensors are the user's, handed on to the compiled graph.
  private let guarding: EntryGuard
  private let closedOver: [Tensor]
  /// What the closure read of variables besides tensors.
  private let guardedReads: [GuardedRead]

  init(_ guarding: EntryGuard, _ closedOver: [Tensor], _ guardedReads: [GuardedRead]) {
    self.guarding = guarding
    self.closedOver = closedOver
    self.guardedReads = guardedReads
  }

  /// Whether a call with these arguments may use the entry.
  final func accepts(_ tensors: [Tensor], _ constants: [Constant], context: DispatchContext) -> Bool {
    guardedReads.allSatisfy { $0.holds() }
      && guarding.accepts(tensors, closedOver, constants: constants, context: context)
  }

  /// What a call differs in from what the entry was compiled for.
  ///
  /// - Parameter arguments: Says which argument each of the call's tensors is.
  final func failures(
    _ tensors: [Tensor], _ constants: [Constant], naming arguments: [GuardFailure.Subject]
  ) -> [GuardFailure] {
    let variables = guardedReads.filter { !$0.holds() }.map { read in
      GuardFailure(
        subject: .variable(read.name), fact: .variable, compiled: read.value, called: read.current())
    }
    let called = EntryGuard(tensors + closedOver, constants: constants, context: .current)
    return variables + guarding.failures(of: called, naming: arguments)
  }
}

extension [GuardedEntry] {
  /// The first entry that a call with these arguments may use.
  func first(accepting tensors: [Tensor], _ constants: [Constant], context: DispatchContext) -> GuardedEntry? {
    first { $0.accepts(tensors, constants, context: context) }
  }
}
