import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Makes the calls that gave inputs another layout, such as `t_`, on the real inputs: autograd sees them as it would have.
public struct LayoutEpilogue: RuntimeWrapper {
  public static let name = "layout epilogue"

  private let inputs: [(position: Int, isLeaf: Bool, changes: [ViewStep])]

  /// nil where no input's layout changes.
  public init?(_ meta: ViewAndMutationMeta) {
    inputs = meta.inputs.enumerated().compactMap { position, info in
      info.layoutChanges.isEmpty ? nil : (position, info.isLeaf, info.layoutChanges)
    }
    if inputs.isEmpty { return nil }
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { arguments in
      let results = try inner(arguments)
      for (position, isLeaf, changes) in inputs {
        for change in changes {
          let call = [arguments[position]] + change.arguments.map { $0.widened() }
          // A leaf can only have been changed where autograd did not look.
          _ = isLeaf ? try noGrad { try change.target.inPlace.call(call) } : try change.target.inPlace.call(call)
        }
      }
      return results
    }
  }
}
