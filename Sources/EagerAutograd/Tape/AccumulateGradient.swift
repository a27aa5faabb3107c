import GraphIR
import Operators
import TensorCore

/// The end of the tape: adds what arrives to a leaf's gradient.
final class AccumulateGradient: GradientFunction {
  let variable: Tensor

  init(_ variable: Tensor) {
    self.variable = variable
    super.init(inputMetadata: [TensorMeta(variable)])
  }

  override var name: String { "AccumulateGradient" }
  override var hooks: HookTable? { variable.autogradState?.leafHooks }

  override func makeHooks() -> HookTable {
    let state = variable.makeAutogradState()
    let hooks = state.leafHooks ?? HookTable()
    state.leafHooks = hooks
    return hooks
  }

  override func apply(_ gradients: [Tensor?]) throws -> [Tensor?] {
    var gradients = gradients
    return try consume(&gradients, isLast: false)
  }

  override func consume(_ gradients: inout [Tensor?], isLast: Bool) throws -> [Tensor?] {
    guard var gradient = gradients[0] else { return [] }
    gradients[0] = nil
    let state = variable.makeAutogradState()
    if let existing = state.gradient {
      state.gradient = try sum(existing, gradient)
    } else if canTakeOver(&gradient) {
      state.gradient = gradient
    } else {
      state.gradient = try gradient.copied(to: variable.layout)
    }
    try hooks?.runAfterAccumulation(variable)
    return []
  }

  private func sum(_ existing: Tensor, _ gradient: Tensor) throws -> Tensor {
    guard existing.sizes == gradient.sizes else {
      throw AutogradError(
        .invalidGradient,
        "a gradient of shape \(gradient.sizes) cannot be added to the tensor's grad, whose shape was set to \(existing.sizes)"
      )
    }
    // A gradient that is to be differentiated itself must not change under its history, and one of a wrapper subclass may be of
    // another than what is added to it.
    let isNew = isGradEnabled || existing.wrapperMeta != nil || gradient.wrapperMeta != nil
    return isNew ? try existing + gradient : try existing.add_(gradient)
  }

  /// Whether nobody else holds the gradient, and it lies in memory as the leaf does. Who holds inner tensors is not known.
  private func canTakeOver(_ gradient: inout Tensor) -> Bool {
    guard !isGradEnabled, gradient.autogradMeta == nil, gradient.wrapperMeta == nil,
      DispatchContext.current.mode == nil,
      isKnownUniquelyReferenced(&gradient)
    else { return false }
    // What it is a view of is of no interest any more, and may be the only other holder of the memory.
    gradient.viewMeta = nil
    return gradient.strides == variable.layout.dense.strides && gradient.layout.isNonOverlappingAndDense
      && isKnownUniquelyReferenced(&gradient.storage)
  }
}

extension Tensor {
  /// Whether the tape leads to this leaf.
  package var isAccumulating: Bool { autogradState?.accumulator != nil }

  /// Has gradients of a leaf arrive in the layout that it has now, those of values included that were computed of it before.
  package func adaptAccumulator() { autogradState?.accumulator?.inputMetadata = [TensorMeta(self)] }
}
