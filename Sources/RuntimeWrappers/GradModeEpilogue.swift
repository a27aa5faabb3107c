import AOTArtifacts
import Operators
import TensorCore

/// Leaves grad mode as the function leaves it.
public struct GradModeEpilogue: RuntimeWrapper {
  public static let name = "grad mode epilogue"

  private let isGradEnabled: Bool

  /// nil where the function keeps the mode.
  public init?(_ meta: ViewAndMutationMeta) {
    guard let mode = meta.gradModeAfter else { return nil }
    isGradEnabled = mode
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { arguments in
      let results = try inner(arguments)
      DispatchContext.current.isGradEnabled = isGradEnabled
      return results
    }
  }
}
