import GraphIR
import Operators
import TensorCore

/// The gradient of a base that was written to through a view of it.
///
/// Outside the view, the base's gradient flows on unchanged; inside, it goes through the function of the call that wrote.
final class CopySlices: GradientFunction {
  private let base: TensorMeta
  private let views: ViewChain
  /// nil once released.
  private var function: GradientFunction?
  /// Which of the function's next edges leads to the view before the call.
  private let slot: Int

  /// - Parameter edge: Where the base's gradient went before the write.
  init(base: Tensor, edge: GradientEdge?, views: ViewChain, function: GradientFunction, slot: Int) {
    self.base = TensorMeta(base)
    self.views = views
    self.function = function
    self.slot = slot
    var edges = function.nextEdges
    edges[slot] = edge
    super.init(nextEdges: edges, inputMetadata: [self.base])
  }

  deinit {
    DeferredRelease.release { pending in
      if let function { pending.append(function) }
      handOverEdges(&pending)
      function = nil
    }
  }

  override var name: String { function.map { "CopySlices(\($0.name))" } ?? "CopySlices" }
  override var operatorName: OperatorName? { function?.operatorName }

  override func releaseSavedTensors() {
    function?.releaseSavedTensors()
    function = nil
  }

  override func forEachSaved(_ body: (SavedTensor) -> Void) { function?.forEachSaved(body) }

  override func apply(_ gradients: [Tensor?]) throws -> [Tensor?] {
    guard let gradient = gradients[0] else { return Array(repeating: nil, count: nextEdges.count) }
    guard let function else { throw AutogradError.backwardTwice(operatorName) }
    let copy = try gradient.copied(to: base.layout)
    let slice = try views.applied(to: copy)
    var result = try function.apply([slice.clone()])
    // Where all of the base was overwritten with what does not depend on it, no gradient arrives: that is other than zeros.
    if nextEdges[slot] != nil, result[slot] != nil || !isWhole(slice) {
      try slice.copy_(result[slot] ?? .zeros(TensorMeta(slice)))
      result[slot] = copy
    }
    return result
  }

  private func isWhole(_ slice: Tensor) -> Bool {
    slice.elementCount == base.layout.elementCount.value && !slice.layout.mayOverlapItself
  }
}
