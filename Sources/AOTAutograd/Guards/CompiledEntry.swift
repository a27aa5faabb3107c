import AOTArtifacts
import Capture
import GraphIR
import Operators
import TensorCore

/// A function compiled for one signature.
final class CompiledEntry<Output>: GuardedEntry, @unchecked Sendable {
  // Sendable: constant after `init`.
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
    self.stages = stages
    self.run = compiled.function
    self.tree = tree
    super.init(
      EntryGuard(tensors + capture.closedOver, constants: constants, context: context), capture.closedOver,
      capture.guardedReads)
  }

  /// Runs the compiled function on a call's tensors.
  func callAsFunction(_ tensors: [Tensor]) throws -> Output {
    try tree.filled(with: run(tensors))
  }
}
