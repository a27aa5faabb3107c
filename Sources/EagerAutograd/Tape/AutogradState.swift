import GraphIR
import Operators
import TensorCore

/// What autograd keeps about one tensor.
final class AutogradState: AutogradDispatch {
  /// Whether the tensor is a leaf whose gradient is wanted.
  var isRequired = false
  var gradient: Tensor?
  /// What gives the tensor's gradient to its past, and which of that function's inputs it is; nil for a leaf.
  var history: GradientEdge?
  /// Of a leaf. The tape keeps it alive: it keeps the tensor alive in turn.
  weak var accumulator: AccumulateGradient?
  /// Hooks of a leaf; those of other tensors are kept by the function in `history`.
  var leafHooks: HookTable?

  init(history: GradientEdge? = nil) { self.history = history }

  override var requiresGrad: Bool { isRequired || history != nil }

  override func dispatch(_ call: OperatorCall) throws -> Value { try Recorder.record(call) }

  override func settleHistory(of tensor: Tensor) throws { _ = try tensor.gradientEdge() }
}

extension Tensor {
  var autogradState: AutogradState? { autogradMeta.map { unsafeDowncast($0, to: AutogradState.self) } }

  func makeAutogradState() -> AutogradState {
    if let autogradState { return autogradState }
    let state = AutogradState()
    autogradMeta = state
    return state
  }

  /// Where this tensor's gradient goes: its history, or the accumulator of a leaf; nil where no gradient is wanted.
  ///
  /// - Throws: `AutogradError` with code `viewInPlace` where the history of a view is lost.
  package func gradientEdge() throws -> GradientEdge? {
    if let history = try currentHistory() { return history }
    guard let state = autogradState, state.isRequired else { return nil }
    if let accumulator = state.accumulator { return GradientEdge(accumulator) }
    let accumulator = AccumulateGradient(self)
    state.accumulator = accumulator
    return GradientEdge(accumulator)
  }

  /// Replaces the history. Hooks stay with the old one: they were put on the old value.
  package func setHistory(_ history: GradientEdge) {
    let state = makeAutogradState()
    if let old = state.history { old.function.moveRetainedGradient(ofResult: old.inputIndex, to: history) }
    state.history = history
    state.isRequired = false
  }
}
