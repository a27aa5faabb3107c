import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// Reads and writes memory in terms of functional values: replays views on the current base and carries writes back to it.
struct ViewReplay {
  let recorder: FunctionalRecorder

  // MARK: Reading

  /// The functional value of a view as memory is now.
  func read(_ view: AliasView) throws -> Tensor {
    // From the nearest view that is up to date: chains may be longer than the stack is deep.
    for stale in view.chain(while: \.isStale).reversed() {
      guard let parent = stale.parent, let step = stale.step else { continue }
      let replayed = try recorder.with(stale.metadata) {
        try apply(step, to: source(for: step.target, parent), cuttingHistory: stale.cutsHistory)
      }
      stale.update(stale.ownsHistory ? try recorder.grafted(replayed, onto: stale.value) : replayed)
    }
    return view.value
  }

  /// What to take a view of: the parent's functional value, in the captured program's own layout where the view looks at that.
  func source(for target: OperatorDefinition, _ parent: AliasView) throws -> Tensor {
    guard target.dependsOnStrides else { return try read(parent) }
    guard !recorder.recordsGradients || !parent.hasOwnHistory else {
      throw OperatorError(
        .notImplemented, target.name,
        "looks at memory behind a tensor that has another gradient history than its memory; clone it first")
    }
    let base = try restored(parent.base, for: target)
    return try replayed(parent, from: base)
  }

  /// The views that lead from its base to `view`, on a value that stands for the base.
  func replayed(_ view: AliasView, from base: Tensor) throws -> Tensor {
    try view.chain { _ in true }.reversed().reduce(base) { source, view in
      guard let step = view.step else { return source }
      return try recorder.with(view.metadata) { try apply(step, to: source, cuttingHistory: view.cutsHistory) }
    }
  }

  private func apply(_ step: ViewStep, to source: Tensor, cuttingHistory: Bool) throws -> Tensor {
    let results = try applyAll(step.target, step.arguments, to: source, cuttingHistory: cuttingHistory)
    guard results.indices.contains(step.resultIndex) else {
      throw OperatorError(.index, step.target.name, "gives no result \(step.resultIndex)")
    }
    return results[step.resultIndex]
  }

  /// Every result of a view call on a functional value, without a node where the only one is that value itself.
  func applyAll(
    _ target: OperatorDefinition, _ arguments: [Constant], to source: Tensor, cuttingHistory: Bool
  ) throws -> [Tensor] {
    var source = source
    let trial: [Tensor]
    do {
      trial = try recorder.unrecorded { try Self.results(target, arguments, of: source) }
    } catch  where !source.layout.isRowMajor && !target.dependsOnStrides {
      // A functional value may lie in memory otherwise than the tensor it stands for. Elements in row-major order have
      // every view.
      source = try source.clone(memoryFormat: .contiguous)
      trial = try recorder.unrecorded { try Self.results(target, arguments, of: source) }
    } catch let error as OperatorError where error.code == .shape {
      throw OperatorError(
        .notImplemented, target.name,
        "looks at memory in a way that only the tensor itself allows (\(error.message)); clone it first")
    }
    let mustCut = cuttingHistory && recorder.recordsGradients
    if trial.count == 1, trial[0].layout == source.layout, trial[0].dtype == source.dtype, !mustCut { return [source] }
    return try Self.results(target, arguments, of: source)
  }

  /// Calls an operator that copies views, such as `view_copy`.
  func copy(_ target: OperatorDefinition, _ arguments: [Value]) throws -> Value {
    do {
      return try target.evaluate(arguments)
    } catch let error as OperatorError where error.code == .shape {
      // As for views.
      if let source = arguments.first?.reference, !source.layout.isRowMajor,
        target !== OperatorLibrary.asStrided.copyVariantDefinition
      {
        return try target.evaluate([.reference(try source.clone(memoryFormat: .contiguous))] + arguments.dropFirst())
      }
      throw OperatorError(
        .notImplemented, target.name,
        "looks at memory in a way that only the tensor itself allows (\(error.message)); clone it first")
    }
  }

  private static func results(
    _ target: OperatorDefinition, _ arguments: [Constant], of source: Tensor
  ) throws -> [Tensor] {
    try target.call([.reference(source)] + arguments.map { $0.widened() }).references
  }

  /// A base in the very layout that the captured program's has.
  private func restored(_ base: AliasView, for target: OperatorDefinition) throws -> Tensor {
    let layout = base.memory.eager.layout
    if let restored = try read(base).relaid(like: layout), restored.layout == layout { return restored }
    throw OperatorError(
      .notImplemented, target.name,
      "looks at memory that was written to and has strides \(layout.strides); only dense memory can be")
  }

  // MARK: Writing

  /// Gives a view's memory new elements.
  ///
  /// - Parameter isTracked: Whether autograd saw the write, at the view itself.
  func write(_ new: Tensor, to view: AliasView, isTracked: Bool, metadata: NodeMetadata) throws {
    var isTracked = isTracked
    var isHidden = false
    var updates: [(view: AliasView, value: Tensor)] = []
    var (current, element) = (view, new)
    while true {
      let old = try read(current)
      updates.append((current, isTracked ? element : try recorder.grafted(element, onto: old)))
      guard let step = current.step else { break }
      let source: AliasView
      (source, element) = try inverse(step, of: current, mutated: element)
      while current !== source, let parent = current.parent {
        if current.cutsHistory {
          if isTracked { current.ownsHistory = true }
          isTracked = false
          isHidden = true
        }
        current = parent
      }
    }
    let isUnderNoGrad = metadata.gradMode == false
    view.memory.recordWrite(.init(isUnderNoGrad: isUnderNoGrad, isHidden: isHidden, metadata: metadata))
    for (view, value) in updates { view.update(value) }
  }

  /// What a view was taken of, after a write to all of the view.
  ///
  /// - Returns: The parent and its new elements; the base, where only its memory tells what the write means.
  private func inverse(
    _ step: ViewStep, of view: AliasView, mutated: Tensor
  ) throws -> (source: AliasView, elements: Tensor) {
    guard let parent = view.parent, let inverse = step.target.viewInverse, !step.target.dependsOnStrides,
      // Elements that share a place, as `expand` makes them, are written together.
      try !parent.eagerMeta.layout.mayOverlapItself
    else { return (view.base, try baseWritten(through: view, step, mutated)) }
    var source = try read(parent)
    if view.value.storage === source.storage, view.value.layout == source.layout, view.value.dtype == source.dtype {
      return (parent, mutated)
    }
    // Bytes other than 0 and 1 would become those, and what is not a number another such.
    let isExact = source.dtype == mutated.dtype || ![source.dtype, mutated.dtype].contains(where: \.losesBits)
    guard isExact else {
      throw OperatorError(
        .notImplemented, step.target.name,
        "shows \(source.dtype) memory as \(mutated.dtype), and cannot be written to; clone it first")
    }
    if step.target === OperatorLibrary.unfold { source = try detachedFromInputs(source) }
    // Where all elements are overwritten, no gradient goes back to what they were, not even zeros.
    if recorder.recordsGradients, mutated.elementCount == source.elementCount { source = try source.detach() }
    let call = OperatorCall(step.target, [.reference(source)] + step.arguments.map { $0.widened() })
    do {
      return (parent, try inverse(call, source, mutated, step.resultIndex))
    } catch  where !mutated.layout.isRowMajor {
      // As for views.
      return (parent, try inverse(call, source, mutated.clone(memoryFormat: .contiguous), step.resultIndex))
    }
  }

  private func baseWritten(through view: AliasView, _ step: ViewStep, _ mutated: Tensor) throws -> Tensor {
    let base = try restored(view.base, for: step.target)
    guard base.dtype == mutated.dtype else {
      throw OperatorError(
        .notImplemented, step.target.name,
        "looks at memory of \(base.dtype) as \(mutated.dtype), and cannot be written to; clone it first")
    }
    guard base.layout.isNonOverlappingAndDense else {
      throw OperatorError(
        .notImplemented, step.target.name,
        "looks at memory with strides \(base.layout.strides); only dense memory can be written to through it")
    }
    let place = try view.eagerMeta.layout
    return try OperatorLibrary.asStridedScatter(
      .reference(detachedFromInputs(base)), .reference(mutated), .list(place.sizes.map { .int($0) }),
      .list(place.strides.map { .int($0) }), .int(place.offset - base.layout.offset))
  }

  /// A value that starts at its storage's start: an input may not when the graph runs, whatever it did when captured.
  private func detachedFromInputs(_ value: Tensor) throws -> Tensor {
    value.layout.offset != 0 || recorder.isInInput(value) ? try value.clone() : value
  }
}

extension Layout {
  /// Whether the strides are those of row-major order, of dimensions with one element, too.
  fileprivate var isRowMajor: Bool { strides == Layout(contiguous: sizes).strides }
}

extension DType {
  /// Whether a copy of elements may not be one of all their bits.
  fileprivate var losesBits: Bool { [.bool, .float16, .bfloat16].contains(self) }
}

extension OperatorDefinition {
  /// Whether a view looks at memory rather than at elements by index.
  var dependsOnStrides: Bool { self === OperatorLibrary.asStrided }

  /// Whether it gives pieces that share memory with what they were taken of, though autograd takes them for no views.
  var givesUnsafePieces: Bool { self === OperatorLibrary.unsafeSplit || self === OperatorLibrary.unsafeSplitWithSizes }
}
