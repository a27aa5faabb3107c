import AOTArtifacts
import GraphIR
import TensorCore

/// Has the memory of inputs count as written to where the function does what eagerly counts as a write, and no element changes.
///
/// It is after autograd has looked at the inputs, which are what they were, and before it saves values for a gradient, which do not
/// change any more.
public struct VersionAdvance: RuntimeWrapper {
  public static let name = "version advance"

  private let inputs: [Int]

  /// nil where no input needs it.
  public init?(_ meta: ViewAndMutationMeta) {
    inputs = meta.inputs.indices.filter { meta.inputs[$0].onlyAdvancesVersion }
    if inputs.isEmpty { return nil }
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { arguments in
      for input in inputs { arguments[input].storage.bumpVersion() }
      return try inner(arguments)
    }
  }
}
