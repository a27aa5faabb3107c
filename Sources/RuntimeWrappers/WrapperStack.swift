import AOTArtifacts
import GraphIR
import TensorCore

/// The layers between the caller and the compiled graph. Reading the array tells the calling convention.
public struct WrapperStack: Sendable {
  /// Outermost first.
  public let wrappers: [any RuntimeWrapper]

  /// What a function may need between the caller and the graph beyond what its metadata tell.
  public struct Layers: Sendable {
    /// What gives the graph one base for inputs that share memory; nil where none do.
    public var syntheticBase: SyntheticBase?
    /// What joins the compiled pair to eager autograd; nil for an inference graph.
    public var autograd: AutogradJoin?
    /// What unwraps and wraps tensors; nil where all are ordinary.
    public var subclass: SubclassWrapper?
    /// What gives results the captured strides; nil where the compiler is known to.
    public var restridden: FakifiedOutput?
    /// Whether each call is checked against the metadata.
    public var checksInvariants: Bool

    public init(
      syntheticBase: SyntheticBase? = nil, autograd: AutogradJoin? = nil, subclass: SubclassWrapper? = nil,
      restridden: FakifiedOutput? = nil, checksInvariants: Bool = false
    ) {
      self.syntheticBase = syntheticBase
      self.autograd = autograd
      self.subclass = subclass
      self.restridden = restridden
      self.checksInvariants = checksInvariants
    }
  }

  /// The wrappers that a function needs, in the one order in which they work.
  ///
  /// - Parameters:
  ///   - outer: The function as the caller sees it.
  ///   - capture: The function as the graph sees it, inputs that share memory having one base.
  ///   - layers: What the pipeline has made besides.
  public init(
    _ outer: AOTGraphCapture, _ capture: AOTGraphCapture, _ meta: ViewAndMutationMeta, _ layers: Layers
  ) {
    let graph = capture.module.graph
    let inputs = graph.placeholders.map { graph[metadata: $0].tensor }
    let layers: [(any RuntimeWrapper)?] = [
      GradModeEpilogue(meta),  // outermost: all inside runs in the caller's mode
      Deduplication(outer),  // what follows sees distinct tensors
      layers.syntheticBase,  // what follows sees graph inputs
      layers.checksInvariants ? DebugAssert(capture, meta) : nil,  // sees outputs as the caller will
      OutputRegeneration(meta, inputs: inputs),  // views of inputs are made after the inputs have their new values
      MutationEpilogue(meta),  // writes what autograd gave a history to
      EffectTokens(meta),  // what follows is the graph's own convention: tokens in, tokens out
      FunctionalizedRNG(meta),  // what autograd saves has the key and counter of the call
      layers.autograd,  // histories are those of outer tensors
      VersionAdvance(meta),  // between the inputs' histories and the saved values
      layers.subclass,  // what it passes and gets are the compiled graph's
      layers.restridden,  // innermost: before a result has a history
    ]
    wrappers = layers.compactMap(\.self)
  }

  /// The function as the caller sees it.
  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    wrappers.reversed().reduce(inner) { $1.wrap($0) }
  }
}
