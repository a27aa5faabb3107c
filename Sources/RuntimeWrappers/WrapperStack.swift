import AOTArtifacts
import TensorCore

/// The layers between the caller and the compiled graph. Reading the array tells the calling convention.
public struct WrapperStack: Sendable {
  /// Outermost first.
  public let wrappers: [any RuntimeWrapper]

  /// The wrappers that a function needs, in the one order in which they work.
  ///
  /// - Parameters:
  ///   - autograd: What joins the compiled pair to eager autograd; nil for an inference graph.
  ///   - restridden: Gives results the captured strides; nil where the compiler is known to.
  ///   - checksInvariants: Whether each call is checked against the metadata.
  public init(
    _ capture: AOTGraphCapture, _ meta: ViewAndMutationMeta, autograd: AutogradJoin?,
    restridden: FakifiedOutput? = nil, checksInvariants: Bool = false
  ) {
    let layers: [(any RuntimeWrapper)?] = [
      GradModeEpilogue(meta),  // outermost: all inside runs in the caller's mode
      Deduplication(capture),  // what follows sees graph inputs
      checksInvariants ? DebugAssert(capture, meta) : nil,  // sees inputs once each, and outputs as the caller will
      OutputRegeneration(meta),  // views of inputs are made after the inputs have their new values
      MutationEpilogue(meta),  // writes what autograd gave a history to
      autograd,  // its results are the graph's
      restridden,  // innermost: before a result has a history
    ]
    wrappers = layers.compactMap(\.self)
  }

  /// The function as the caller sees it.
  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    wrappers.reversed().reduce(inner) { $1.wrap($0) }
  }
}
