import AOTArtifacts
import TensorCore

/// The layers between the caller and the compiled graph. Reading the array tells the calling convention.
public struct WrapperStack: Sendable {
  /// Outermost first.
  public let wrappers: [any RuntimeWrapper]

  /// The wrappers that a function needs, in the one order in which they work.
  ///
  /// - Parameters:
  ///   - capture: The function as the caller sees it.
  ///   - syntheticBase: What gives the graph one base for inputs that share memory; nil where none do.
  ///   - autograd: What joins the compiled pair to eager autograd; nil for an inference graph.
  ///   - subclass: What unwraps and wraps tensors; nil where all are ordinary.
  public init(
    _ capture: AOTGraphCapture, _ meta: ViewAndMutationMeta, syntheticBase: SyntheticBase?, autograd: AutogradJoin?,
    subclass: SubclassWrapper? = nil
  ) {
    let layers: [(any RuntimeWrapper)?] = [
      GradModeEpilogue(meta),  // outermost: all inside runs in the caller's mode
      Deduplication(capture),  // what follows sees distinct tensors
      syntheticBase,  // what follows sees graph inputs
      OutputRegeneration(meta),  // views of inputs are made after the inputs have their new values
      MutationEpilogue(meta),  // writes what autograd gave a history to
      EffectTokens(meta),  // what follows is the graph's own convention: tokens in, tokens out
      FunctionalizedRNG(meta),  // what autograd saves has the key and counter of the call
      autograd,  // histories are those of outer tensors
      subclass,  // innermost: what it passes and gets are the compiled graph's
    ]
    wrappers = layers.compactMap(\.self)
  }

  /// The function as the caller sees it.
  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    wrappers.reversed().reduce(inner) { $1.wrap($0) }
  }
}
