import AOTArtifacts
import Capture
import GraphIR
import Operators
import TensorCore

/// A function compiled for one signature.
final class CompiledEntry<Output>: @unchecked Sendable {
  // Sendable: constant after `init`; the captured tensors are the user's, handed on to the compiled graph.
  let guarding: EntryGuard
  let closedOver: [Tensor]
  /// What the closure read of variables besides tensors.
  let guardedReads: [GuardedRead]
  let stages: AOTStages
  private let run: RuntimeFunction
  private let tree: OutputTree<Output>

  init(
    _ tensors: [Tensor], _ constants: [Constant], _ configuration: AOTConfiguration, _ source: SourceLocation,
    capturing function: ([Tensor]) throws -> OutputTree<Output>
  ) throws {
    let clock = ContinuousClock()
    let start = clock.now
    let context = DispatchContext.current
    var tree: OutputTree<Output>?
    let capture = try ClosureCapture(source: source)(
      tensors.map { .reference($0) }, signature: EntryGuard(tensors, constants: constants, context: context).signature
    ) { stand in
      let output = try function(stand.compactMap(\.reference))
      tree = output
      return output.tensors.map { .reference($0) }
    }
    guard let tree else { throw AOTError(.unsupported, "the closure was not run", source: source) }
    let captureDuration = clock.now - start
    // The casts are in the captured graph.
    let compiled = try autocast(nil) { () throws in try CompilationPipeline(configuration).compile(capture) }
    var stages = compiled.stages
    stages.captureDuration = captureDuration
    stages.compileDuration = clock.now - start - captureDuration
    stages.durations[.capture] = captureDuration
    stages.log(from: source)
    self.guarding = EntryGuard(tensors + capture.closedOver, constants: constants, context: context)
    self.closedOver = capture.closedOver
    self.guardedReads = capture.guardedReads
    self.stages = stages
    self.run = compiled.function
    self.tree = tree
  }

  /// Whether a call with these arguments may use the entry.
  func accepts(_ tensors: [Tensor], _ constants: [Constant], context: DispatchContext) -> Bool {
    guardedReads.allSatisfy { $0.holds() }
      && guarding.accepts(tensors, closedOver, constants: constants, context: context)
  }

  /// What a call differs in from what the entry was compiled for.
  ///
  /// - Parameter arguments: Says which argument each of the call's tensors is.
  func failures(
    _ tensors: [Tensor], _ constants: [Constant], naming arguments: [GuardFailure.Subject]
  ) -> [GuardFailure] {
    let variables = guardedReads.filter { !$0.holds() }.map { read in
      GuardFailure(
        subject: .variable(read.name), fact: .variable, compiled: read.value, called: read.current())
    }
    let called = EntryGuard(tensors + closedOver, constants: constants, context: .current)
    return variables + guarding.failures(of: called, naming: arguments)
  }

  /// Runs the compiled function on a call's tensors.
  func callAsFunction(_ tensors: [Tensor]) throws -> Output {
    try tree.filled(with: run(tensors.map { .reference($0) }))
  }
}
