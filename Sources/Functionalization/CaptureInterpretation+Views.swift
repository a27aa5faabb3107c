import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

// Views, and layouts that tensors are given.
extension CaptureInterpretation {
  /// - Parameter changesLayout: Whether the view is what its argument itself becomes, as by `t_`.
  func view(
    _ target: OperatorDefinition, _ arguments: [CapturedValue], changesLayout: Bool = false
  ) throws -> CapturedValue {
    guard let parent = arguments[0].reference?.view else {
      throw OperatorError(.argument, target.name, "argument 0 must be the tensor to view")
    }
    let constants = try arguments.dropFirst().map { argument in
      try argument.map { (_: CapturedTensor) throws -> Constant in
        throw OperatorError(.notImplemented, target.name, "takes a tensor besides the one it views")
      }
    }
    // Writes to what they were taken of do not change the history of what autograd takes for no views.
    let isOfViewWithoutGrad = parent.step.map { $0.isWithoutGrad && $0.target !== OperatorLibrary.detach } ?? false
    let isUnsafe = target.givesUnsafePieces || target === OperatorLibrary.unsafeView
    // Nothing but the promise that nobody else uses its source tells it from a view, and passes would not keep that.
    let target = target === OperatorLibrary.unsafeView ? OperatorLibrary.view : target
    var metadata = recorder.currentMetadata
    let isWithoutGrad = metadata.gradMode == false
    // A layout change without grad mode leaves the tensor's history as it is; a view made then has none.
    if changesLayout { metadata.gradMode = nil }
    let cutsHistory =
      (!changesLayout || target === OperatorLibrary.detach) && AliasView.cutsHistory(target, metadata)
    let value = try replay.source(for: target, parent)
    var results = try recorder.with(metadata) {
      try replay.applyAll(target, constants, to: value, cuttingHistory: cutsHistory)
    }
    // As far as autograd knows, gradients come to the elements at the same indices. A view it follows anew.
    let isUnseen = changesLayout && isWithoutGrad && recorder.recordsGradients && !isView(parent)
    let keepsHistory = isUnseen && results[0].sizes == value.sizes
    guard !isUnseen || keepsHistory || !parent.memory.isNew && !results[0].layout.mayOverlapItself else {
      throw OperatorError(
        .notImplemented, target.name,
        "gives a tensor that was computed, or one element several places, another shape with gradients off; use a view instead"
      )
    }
    if keepsHistory { results[0] = try recorder.grafted(results[0], onto: value) }
    if isUnsafe { try refuseUnsafeViewWithGrad(of: parent, metadata) }
    if !changesLayout { parent.memory.hasViews = true }
    let tensors = results.enumerated().map { index, value in
      let step = ViewStep(
        target: target, arguments: constants, resultIndex: index,
        isWithoutGrad: isWithoutGrad && (!changesLayout || isOfViewWithoutGrad))
      let view = AliasView(of: parent, step: step, value: value, metadata: metadata, cutsHistory: cutsHistory)
      view.isLayoutChange = changesLayout
      view.isLayoutChangedWithoutGrad = changesLayout && isWithoutGrad
      view.ownsHistory = keepsHistory
      return CapturedTensor(isUnsafe ? unsafePiece(view) : view)
    }
    if case .list = target.schema.returns.first?.type { return .list(tensors.map { .reference($0) }) }
    return tensors.first.map { .reference($0) } ?? .none
  }

  /// A view as the tensor which autograd does not connect with what it was taken of: it has the view's history for its own.
  private func unsafePiece(_ view: AliasView) -> AliasView {
    let step = ViewStep(target: OperatorLibrary.detach, arguments: [])
    let piece = AliasView(of: view, step: step, value: view.value, metadata: view.metadata, cutsHistory: true)
    piece.ownsHistory = true
    piece.special = .unsafe
    return piece
  }

  /// Whether autograd knows a tensor as a view of another one.
  func isView(_ view: AliasView) -> Bool {
    guard view.chain(while: { $0.isLayoutChangedWithoutGrad }).last?.parent ?? view === view.base else { return true }
    guard case .input(let index) = view.memory.origin else { return false }
    return capture.inputs[index].viewGradient != .none
  }

  /// Whether a view is of an input that shares memory with others.
  func sharesMemory(_ view: AliasView) -> Bool {
    if case .input(let index) = view.memory.origin { capture.inputs[index].base != nil } else { false }
  }
}
