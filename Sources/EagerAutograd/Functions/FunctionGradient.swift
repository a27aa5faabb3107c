import GraphIR
import Operators
import TensorCore

/// The gradient of a call of a custom function.
final class FunctionGradient: GradientFunction {
  private let definition: any DifferentiableFunction
  private let context: FunctionContext
  private var saved: [SavedTensor] = []
  private var isReleased = false

  init(_ definition: any DifferentiableFunction, _ context: FunctionContext, nextEdges: [GradientEdge?]) {
    self.definition = definition
    self.context = context
    super.init(nextEdges: nextEdges)
    context.unpack = { [weak self] in
      // A context that outlives its call has nothing left to give.
      guard let self else { throw AutogradError.backwardTwice(nil) }
      return try unpacked()
    }
  }

  deinit {
    DeferredRelease.release { pending in
      pending += saved as [AnyObject]
      handOverEdges(&pending)
      saved = []
    }
  }

  override var name: String { "\(type(of: definition))" }

  override func releaseSavedTensors() {
    if saved.isEmpty { return }
    isReleased = true
    saved = []
  }

  override func forEachSaved(_ body: (SavedTensor) -> Void) { saved.forEach(body) }

  private func unpacked() throws -> [Tensor] {
    guard !isReleased else { throw AutogradError.backwardTwice(nil) }
    return try saved.map { try $0.unpacked(by: self) }
  }

  override func apply(_ gradients: [Tensor?]) throws -> [Tensor?] {
    try definition.gradients(gradients, of: inputMetadata, context, inputCount: nextEdges.count)
  }

  // MARK: - Results of forward

  /// Makes this function the history of what `forward` gave, and keeps what it wants saved.
  ///
  /// - Returns: The outputs; inputs that were returned as they are have become views of themselves.
  func attach(to outputs: [Tensor], inputs: [Tensor]) throws -> [Tensor] {
    inputMetadata = outputs.map { TensorMeta($0) }
    for tensor in context.dirty { try checkWritten(tensor) }
    let results = try outputs.enumerated().map { index, output in try attached(output, index, inputs) }
    try save(outputs: outputs, results: results, inputs: inputs)
    return results
  }

  private func attached(_ output: Tensor, _ index: Int, _ inputs: [Tensor]) throws -> Tensor {
    let edge = GradientEdge(self, inputIndex: index)
    let slot = inputs.firstIndex { $0 === output }
    if isNotDifferentiable(output) {
      return output.requiresGrad
        ? Tensor(sharingMemoryOf: output) : output
    }
    if let slot, context.dirty.contains(where: { $0 === output }) {
      try InPlaceRules.rebase(output, onto: edge, slot: slot, layoutOnly: false)
      return output
    }
    // A tensor with a history or gradient of its own must keep them: the output becomes another tensor over its memory.
    let keepsItself = slot != nil || output.autogradMeta != nil
    let result = keepsItself ? try noGrad { try output.alias() } : output
    result.viewRecord?.circumstance = .customFunction
    result.setHistory(edge)
    return result
  }

  private func isNotDifferentiable(_ output: Tensor) -> Bool { context.isNotDifferentiable(output) }

  private func checkWritten(_ tensor: Tensor) throws {
    if tensor.autogradState?.isRequired == true || tensor.viewRecord?.base.autogradState?.isRequired == true {
      throw AutogradError(
        .leafInPlace, "\(name) wrote to a leaf that requires a gradient, or to a view of one; give it a clone")
    }
    if let record = tensor.viewRecord, inputMetadata.count > 1 || record.circumstance != .ordinary {
      throw AutogradError(.viewInPlace, "\(name) wrote to a view that its gradient cannot follow; give it a clone")
    }
  }

  private func save(outputs: [Tensor], results: [Tensor], inputs: [Tensor]) throws {
    saved = try context.tensorsToSave.map { tensor in
      var history = SavedTensor.History.none
      if let input = inputs.firstIndex(where: { $0 === tensor }), !context.dirty.contains(where: { $0 === tensor }) {
        history = nextEdges[input].map { .edge($0) } ?? .none
      } else if let index = outputs.firstIndex(where: { $0 === tensor }), !isNotDifferentiable(tensor) {
        let isWritten = context.dirty.contains { $0 === tensor }
        history = isWritten ? SavedTensor.history(ofResult: index, writtenTo: tensor) : .result(index)
      } else if let edge = try tensor.gradientEdge() {
        history = .edge(edge)
      }
      return try SavedTensor(tensor, history: history, savedBy: nil)
    }
    context.tensorsToSave = []
    context.nonDifferentiable = []
    context.dirty = []
  }
}
