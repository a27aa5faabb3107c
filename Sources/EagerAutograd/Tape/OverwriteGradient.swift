import GraphIR
import Operators
import TensorCore

/// The gradient of a write that leaves nothing of what was there: all of it goes to what was written.
final class OverwriteGradient: GradientFunction {
  init(_ tensor: Tensor, by edge: GradientEdge) {
    super.init(nextEdges: [nil, edge], inputMetadata: [TensorMeta(tensor)])
  }

  override var name: String { "overwrite" }

  override func apply(_ gradients: [Tensor?]) throws -> [Tensor?] { [nil, gradients[0]] }
}

extension Tensor {
  /// Makes what was written over all of the tensor its history. What it was before has no part in it, not even with a gradient of
  /// zeros.
  package func setOverwritten(by edge: GradientEdge) throws {
    guard viewRecord != nil else { return setHistory(edge) }
    try InPlaceRules.rebase(self, onto: GradientEdge(OverwriteGradient(self, by: edge)), slot: 0, layoutOnly: false)
  }
}
