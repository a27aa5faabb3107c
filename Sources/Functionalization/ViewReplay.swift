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
    guard view.isStale, let parent = view.parent, let step = view.step else { return view.value }
    let source = try read(parent)
    let replayed = try recorder.with(view.metadata) { try apply(step, of: view, to: source) }
    view.update(view.ownsHistory ? try recorder.withData(of: view.value, replayed) : replayed)
    return view.value
  }

  /// The views that lead from its base to `view`, on a value that stands for the base.
  func replayed(_ view: AliasView, from base: Tensor) throws -> Tensor {
    guard let parent = view.parent, let step = view.step else { return base }
    let source = try replayed(parent, from: base)
    return try recorder.with(view.metadata) { try apply(step, of: view, to: source) }
  }

  /// A view of a functional value that stands for its parent.
  func apply(_ step: ViewStep, of view: AliasView, to source: Tensor) throws -> Tensor {
    let results = try applyAll(
      step.target, step.arguments, to: source, of: view.memory, cuttingHistory: view.cutsHistory)
    guard results.indices.contains(step.resultIndex) else {
      throw OperatorError(.index, step.target.name, "gives no result \(step.resultIndex)")
    }
    return results[step.resultIndex]
  }

  /// Every result of a view call on a functional value, without a node where the only one is that value itself.
  func applyAll(
    _ target: OperatorDefinition, _ arguments: [Constant], to source: Tensor, of memory: Memory, cuttingHistory: Bool
  ) throws -> [Tensor] {
    var source = source
    let trial: [Tensor]
    if target === OperatorLibrary.asStrided { source = try restored(source, of: memory, for: target) }
    do {
      trial = try recorder.unrecorded { try Self.results(target, arguments, of: source) }
    } catch where !source.isContiguous && target !== OperatorLibrary.asStrided {
      // A functional value may lie in memory otherwise than the tensor it stands for. Elements in row-major order have
      // every view.
      source = try source.contiguous()
      trial = try recorder.unrecorded { try Self.results(target, arguments, of: source) }
    }
    let mustCut = cuttingHistory && recorder.recordsGradients
    if trial.count == 1, trial[0].layout == source.layout, trial[0].dtype == source.dtype, !mustCut { return [source] }
    return try Self.results(target, arguments, of: source)
  }

  /// The base in the very layout that the captured program's has, for what depends on strides.
  private func restored(_ base: Tensor, of memory: Memory, for target: OperatorDefinition) throws -> Tensor {
    guard let restored = try base.strided(like: memory.eager.layout), restored.layout == memory.eager.layout else {
      throw OperatorError(
        .notImplemented, target.name,
        "looks at memory with strides \(memory.eager.layout.strides) that was written to; only dense memory can be")
    }
    return restored
  }

  private static func results(
    _ target: OperatorDefinition, _ arguments: [Constant], of source: Tensor
  ) throws -> [Tensor] {
    let result = try target.call([.reference(source)] + arguments.map { $0.widened() })
    return result.references
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
      updates.append((current, isTracked ? element : try recorder.withData(of: old, element)))
      guard let parent = current.parent else { break }
      element = try inverse(of: current, source: try read(parent), mutated: element)
      if current.cutsHistory {
        if isTracked { current.ownsHistory = true }
        isTracked = false
        isHidden = true
      }
      current = parent
    }
    let isUnderNoGrad = metadata.gradMode == false
    view.memory.recordWrite(.init(isUnderNoGrad: isUnderNoGrad, isHidden: isHidden, metadata: metadata))
    for (view, value) in updates { view.update(value) }
  }

  /// The source of a view after a write to all of the view.
  private func inverse(of view: AliasView, source: Tensor, mutated: Tensor) throws -> Tensor {
    guard let step = view.step else { return mutated }
    if view.value.storage === source.storage, view.value.layout == source.layout { return mutated }
    guard let inverse = step.target.viewInverse else {
      throw OperatorError(
        .notImplemented, step.target.name, "has no inverse, so a write through this view cannot be made functional",
        source: view.metadata.source)
    }
    let isStrided = step.target === OperatorLibrary.asStrided
    let source = isStrided ? try restored(source, of: view.memory, for: step.target) : source
    let call = OperatorCall(step.target, [.reference(source)] + step.arguments.map { $0.widened() })
    return try inverse(call, source, mutated, step.resultIndex)
  }
}
