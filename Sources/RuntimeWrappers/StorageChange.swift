import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// A call such as `set_` that gave an input another memory, or `resize_` that made its own grow, to be made on the real tensor.
struct StorageChange {
  let input: Int
  let kind: ViewAndMutationMeta.InputInfo.StorageChange

  /// Refuses, before anything is written, a storage that is not as large as the one that the function was captured with.
  func check(_ arguments: [Tensor]) throws {
    guard kind == .grown else { return }
    let tensor = arguments[input]
    guard try tensor.layout.requiredByteCount(tensor.dtype) == tensor.storage.byteCount else {
      throw OperatorError(
        .notImplemented, OperatorLibrary.resize.name,
        "was captured for a tensor that fills its storage, which this one does not; call the function uncompiled")
    }
  }

  /// - Parameter source: What the input is to be.
  func make(_ arguments: [Tensor], from source: Tensor) throws {
    // What it is a view of may have been given another layout since.
    source.settleViewGradient()
    let tensor = arguments[input]
    switch kind {
    case .tracked: try tensor.set_(source)
    case .underNoGrad: try noGrad { _ = try tensor.set_(source) }
    case .grown: try noGrad { _ = try tensor.resize_(like: source).copy_(source) }
    }
  }
}
