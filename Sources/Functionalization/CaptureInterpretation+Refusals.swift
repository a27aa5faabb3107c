import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

// What a captured function does to memory that a functional graph cannot say, or in a way that gradients are not known to follow.
extension CaptureInterpretation {
  /// - Throws: `OperatorError` where a write has no functional counterpart.
  func refuseWrite(to tensor: CapturedTensor, _ node: Node) throws {
    try refuseSharedMemory(tensor, node)
    try refuseWriteAfterDetaching(tensor, node)
    try refuseForeignMemory(tensor, node)
    try refuseUnsafePiece(tensor, node)
    try refuseChangedArgument(tensor, node)
    try refuseUnsettled(tensor, node)
  }

  /// - Throws: `OperatorError` where a call that gives a tensor another layout has no functional counterpart.
  func refuseLayoutChange(of tensor: CapturedTensor, by target: OperatorDefinition, _ node: Node) throws {
    try refuseEndedHistory(of: tensor, target, node)
    try refuseUnsettled(tensor, node)
    try refuseUnfollowedLayout(of: tensor, by: target, node)
  }

  /// - Throws: `OperatorError` where `detach_` ended the history of what is written to: those of its views end with it.
  private func refuseWriteAfterDetaching(_ tensor: CapturedTensor, _ node: Node) throws {
    guard tensor.view.memory.isHistoryEnded, recorder.recordsGradients else { return }
    throw OperatorError(
      .notImplemented, node.target?.name,
      "writes to memory of an argument after its history was ended by detach_; use detach()",
      source: node.metadata.source)
  }

  /// - Throws: `OperatorError` where other tensors would see a storage grow.
  func refuseGrowth(of tensor: CapturedTensor) throws {
    let memory = tensor.view.memory
    guard memory.hasViews || sharesMemory(tensor.view) || memory.sharedWith != nil else { return }
    throw OperatorError(
      .notImplemented, OperatorLibrary.resize.name,
      "makes memory grow that other tensors share; resize it before views are taken of it")
  }

  /// - Throws: `OperatorError` where a write would reach memory that has another name in the graph.
  private func refuseSharedMemory(_ tensor: CapturedTensor, _ node: Node) throws {
    guard let names = tensor.view.memory.sharedWith else { return }
    throw OperatorError(
      .notImplemented, node.target?.name,
      "writes to memory that \(names) share; pass them as views of one tensor, or clone one of them",
      source: node.metadata.source)
  }

  /// - Throws: `OperatorError` where another layout, which counts as a write, changes what becomes of gradients in a way that is
  ///   not followed.
  private func refuseUnfollowedLayout(
    of tensor: CapturedTensor, by target: OperatorDefinition, _ node: Node
  ) throws {
    guard recorder.recordsGradients else { return }
    let isInput = inputs.contains { $0 === tensor }
    let isForeign = zip(inputs, inputViews).contains { $0 === tensor && $0.view.memory !== $1.memory }
    let isInMemoryOfInputs = if case .input = tensor.view.memory.origin { true } else { false }
    let losesViews = !isInput && isInMemoryOfInputs && capture.inputs.contains { $0.viewGradient == .conditional }
    let hasViews = tensor.view.memory.hasViews || sharesMemory(tensor.view)
    let losesElements = target === OperatorLibrary.asStrided.inPlace && hasViews
    let losesOrder = node.metadata.gradMode == false && tensor.view.memory.hasViews && isRequiringInput(tensor)
    let obstacle: String? =
      if isForeign {
        "changes the layout of an argument that was given other memory; change that of what it was given"
      } else if losesViews {
        "counts as a write to memory of which an argument is a view that gradients do not follow after writes; use a view instead"
      } else if losesOrder {
        "gives an argument of which views were taken another layout with gradients off; use a view instead"
      } else if losesElements {
        "makes a tensor of which views were taken another part of its memory; use as_strided"
      } else {
        nil
      }
    guard let obstacle else { return }
    throw OperatorError(.notImplemented, target.name, obstacle, source: node.metadata.source)
  }

  /// - Throws: `OperatorError` where autograd's way from an input to its base depends on whether it is written to.
  private func refuseUnsettled(_ tensor: CapturedTensor, _ node: Node) throws {
    guard case .input(let index) = tensor.view.memory.origin, isUnsettled(capture.inputs[index], tensor.view.memory)
    else {
      return
    }
    throw OperatorError(
      .notImplemented, node.target?.name,
      "changes an argument that is a view whose base came to require a gradient later, or a view of a view that is a leaf; take "
        + "the view once gradients are asked for, or clone it",
      source: node.metadata.source)
  }

  /// - Throws: `OperatorError` where a piece of an argument would have a history though the call is made with gradients off.
  func refuseUnsafeViewWithGrad(of view: AliasView, _ metadata: NodeMetadata) throws {
    guard !recorder.recordsGradients, metadata.gradMode == true, case .input = view.memory.origin else { return }
    throw OperatorError(
      .notImplemented, nil, "a piece of an argument is taken with gradients on inside of a call with gradients off")
  }

  /// Whether views of an input get their gradients by another way once it is written to.
  private func isUnsettled(_ input: AOTGraphCapture.InputFacts, _ memory: Memory) -> Bool {
    input.viewGradient == .unsettled || isLeafAndView(input) && memory.hasViews
  }

  func isLeafAndView(_ input: AOTGraphCapture.InputFacts) -> Bool {
    input.isLeaf && input.requiresGrad && input.viewGradient != .none
  }

  /// - Throws: `OperatorError` where a write would reach what a piece of unsafe_split was taken of, in the way of no view.
  private func refuseUnsafePiece(_ tensor: CapturedTensor, _ node: Node) throws {
    guard recorder.recordsGradients,
      let piece = tensor.view.chain(while: { _ in true }).first(where: { $0.step?.target.givesUnsafePieces == true })
    else { return }
    throw OperatorError(
      .notImplemented, node.target?.name,
      "writes to what \(piece.step?.target.name.description ?? "") gave; use split instead, or clone it",
      source: node.metadata.source)
  }

  /// - Throws: `OperatorError` where gradients would be led through what an argument was: it was made a part of itself, or another
  ///   layout was given to it where autograd does not look.
  private func refuseChangedArgument(_ tensor: CapturedTensor, _ node: Node) throws {
    guard recorder.recordsGradients, node.metadata.gradMode != false,
      case .input(let index) = tensor.view.memory.origin, capture.inputs[index].requiresGradAfter
    else { return }
    let own = inputs[index].view.chain { _ in true }
    guard
      try tensor.view.chain(while: { _ in true }).contains(where: { view in
        try own.contains { $0 === view } && changesHistory(view)
      })
    else { return }
    throw OperatorError(
      .notImplemented, node.target?.name,
      "writes to an argument to which as_strided_, or another call with gradients off, gave another layout; use a view instead",
      source: node.metadata.source)
  }

  private func changesHistory(_ change: AliasView) throws -> Bool {
    guard let parent = change.parent, let step = change.step else { return false }
    if step.target === OperatorLibrary.asStrided { return true }
    return try change.isLayoutChangedWithoutGrad && change.eagerMeta.layout != parent.eagerMeta.layout
  }

  /// - Throws: `OperatorError` where `detach_` ends the history of a tensor that shares memory with others: that of its views ends
  ///   with it.
  private func refuseEndedHistory(of tensor: CapturedTensor, _ target: OperatorDefinition, _ node: Node) throws {
    guard target === OperatorLibrary.detach.inPlace else { return }
    guard sharesMemory(tensor.view) || recorder.recordsGradients && tensor.view.memory.hasViews else { return }
    throw OperatorError(
      .notImplemented, target.name, "ends the history of a tensor that shares memory with others; use detach()",
      source: node.metadata.source)
  }

  /// - Throws: `OperatorError` where an input that was given other memory is written to: its history would have to go on from
  ///   that memory's, or begin.
  private func refuseForeignMemory(_ tensor: CapturedTensor, _ node: Node) throws {
    guard recorder.recordsGradients,
      zip(inputs, inputViews).contains(where: {
        $0.view.memory === tensor.view.memory && $0.view.memory !== $1.memory
      })
    else { return }
    throw OperatorError(
      .notImplemented, node.target?.name,
      "writes to an argument that was given other memory; write to what it was given",
      source: node.metadata.source)
  }
}
