import AOTArtifacts
import GraphIR
import Operators
import TensorCore

// Tensors that are given other memory.
extension CaptureInterpretation {
  /// Gives a tensor the memory of another. It keeps its own gradient history.
  func setStorage(_ target: OperatorDefinition, _ arguments: [CapturedValue]) throws -> CapturedTensor {
    guard let tensor = arguments[0].reference, let source = arguments[1].reference?.view else {
      throw OperatorError(.argument, target.name, "takes two tensors")
    }
    guard !recorder.recordsGradients || tensor.view.parent == nil else {
      throw OperatorError(
        .notImplemented, target.name,
        "gives a view other memory while gradients are recorded; use the other tensor")
    }
    if tensor.view === source, source.parent == nil {
      guard isView(source) || sharesMemory(source) else { return tensor }
      throw OperatorError(
        .notImplemented, target.name, "makes an argument that is a view no view any more; use detach()")
    }
    guard !recorder.recordsGradients || !tensor.view.memory.isNew || !tensor.view.memory.hasViews else {
      throw OperatorError(
        .notImplemented, target.name,
        "gives a computed tensor of which views were taken other memory while gradients are recorded; use the other tensor"
      )
    }
    guard tensor.view.memory !== source.memory else {
      throw OperatorError(.notImplemented, target.name, "gives a tensor its own memory in another way; use as_strided_")
    }
    if sharesMemory(tensor.view) {
      throw OperatorError(
        .notImplemented, target.name, "gives an argument that shares memory with another one other memory; clone it")
    }
    if case .input(let index) = source.memory.origin, isLeafAndView(capture.inputs[index]) {
      throw OperatorError(
        .notImplemented, target.name, "gives a tensor the memory of an argument that is a view, but a leaf; clone it")
    }
    if target === OperatorLibrary.grow { try refuseGrowth(of: tensor) }
    tensor.hasGrown = target === OperatorLibrary.grow
    let (old, new) = (try replay.read(tensor.view), try replay.read(source))
    let keepsHistory = old.sizes == new.sizes && old.dtype == new.dtype
    guard keepsHistory || recorder.currentMetadata.gradMode != false || !isRequiringInput(tensor) else {
      throw OperatorError(
        .notImplemented, target.name,
        "gives an argument that requires a gradient memory of another shape with gradients off; use what it is given")
    }
    // An input is given the memory once more, by autograd's own rules; a tensor made here becomes no view by it.
    let isInput =
      inputs.contains { $0 === tensor } && capture.needsAutograd && recorder.currentMetadata.gradMode != false
    let step = ViewStep(
      target: isInput ? OperatorLibrary.alias : OperatorLibrary.detach, arguments: [], isWithoutGrad: isInput)
    let view = AliasView(
      of: source, step: step, value: keepsHistory ? try recorder.grafted(new, onto: old) : new,
      metadata: recorder.currentMetadata, cutsHistory: true)
    view.ownsHistory = true
    tensor.view = view
    return tensor
  }

  func isRequiringInput(_ tensor: CapturedTensor) -> Bool {
    recorder.recordsGradients && Swift.zip(inputs, capture.inputs).contains { $0 === tensor && $1.requiresGrad }
  }
}
