import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// A tensor's place in the tree of views over one block of memory, with the functional value that it last had.
final class AliasView {
  let memory: Memory
  /// What this is a view of; nil for the memory's first tensor.
  let parent: AliasView?
  let step: ViewStep?
  /// The metadata of nodes that replay the step.
  let metadata: NodeMetadata
  /// Whether autograd does not connect the view with its parent, as after `detach()`.
  let cutsHistory: Bool
  /// Whether autograd recorded a write to this view that its parent's history knows nothing of.
  var ownsHistory = false
  /// What is special about how it came about, where it is no view to autograd.
  var special: ViewAndMutationMeta.SpecialView?
  /// Whether this is a layout that the tensor itself was given, as by `t_`.
  var isLayoutChange = false
  /// Whether the tensor was given this layout with grad mode off: gradients flow through it all the same.
  var isLayoutChangedWithoutGrad = false

  private(set) var value: Tensor
  private var generation: Int
  /// The version of the memory when the view was made, or made its tensor's layout.
  private var firstVersion: Int

  init(base value: Tensor, memory: Memory) {
    self.memory = memory
    self.parent = nil
    self.step = nil
    self.metadata = NodeMetadata()
    self.cutsHistory = false
    self.value = value
    self.generation = memory.generation
    self.firstVersion = memory.version
  }

  /// A view of `parent`, which has just been read.
  init(of parent: AliasView, step: ViewStep, value: Tensor, metadata: NodeMetadata, cutsHistory: Bool) {
    self.memory = parent.memory
    self.parent = parent
    self.step = step
    self.metadata = metadata
    self.cutsHistory = cutsHistory
    self.value = value
    self.generation = memory.generation
    self.firstVersion = memory.version
  }

  /// Whether autograd does not connect a view with its source.
  static func cutsHistory(_ target: OperatorDefinition, _ metadata: NodeMetadata) -> Bool {
    target.derivative?.isEmpty == true || metadata.gradMode == false
  }

  /// Whether memory was written to since the value was made.
  var isStale: Bool { generation != memory.generation }

  /// Whether memory counts as written to since the view was made.
  var isMadeBeforeWrites: Bool { firstVersion != memory.version }

  /// This view and those it is a view of, as long as the condition holds; the base has no part in it.
  func chain(while condition: (AliasView) -> Bool) -> [AliasView] {
    var chain: [AliasView] = []
    var current = self
    while let parent = current.parent, condition(current) {
      chain.append(current)
      current = parent
    }
    return chain
  }

  /// Notes that a tensor was given the layout of the view, which counts as a write through it.
  func recordLayoutChange() {
    memory.recordLayoutChange()
    firstVersion = memory.version
  }

  func update(_ value: Tensor) {
    self.value = value
    self.generation = memory.generation
  }

  /// The memory's first tensor in the layout that it had when the first view on the way to this one was taken, as long as that
  /// has all elements.
  var root: AliasView { chain { _ in true }.reversed().prefix(while: \.keepsElements).last ?? base }

  /// Whether autograd does not connect it with its parent, whatever the grad mode.
  var isDetached: Bool { step?.target.derivative?.isEmpty == true }

  /// Whether it is its parent in another layout with the same elements.
  private var keepsElements: Bool { isLayoutChange && step?.target !== OperatorLibrary.asStrided }

  /// Whether it is the memory's first tensor, though maybe in another layout.
  var isFirst: Bool { root === self }

  /// The memory's first tensor.
  var base: AliasView {
    var view = self
    while let parent = view.parent { view = parent }
    return view
  }

  /// The views that lead from the base to this one.
  var steps: [ViewStep] {
    var steps: [ViewStep] = []
    var view = self
    while let parent = view.parent, let step = view.step {
      steps.append(step)
      view = parent
    }
    return steps.reversed()
  }

  /// The metadata of the captured program's tensor.
  var eagerMeta: TensorMeta {
    get throws {
      // Nothing of this is to be recorded in the graph that is being made.
      try DispatchContext.current.withMode(nil) { TensorMeta(try steps.applied(to: Tensor(fake: memory.eager))) }
    }
  }

  /// Whether some view on the way from the base has a gradient history of its own.
  var hasOwnHistory: Bool {
    var view: AliasView? = self
    while let current = view {
      if current.ownsHistory { return true }
      view = current.parent
    }
    return false
  }
}

/// A tensor of the captured program. Its identity is the tensor's: calls in place give their argument itself.
final class CapturedTensor {
  /// What the tensor is now; calls such as `t_` change it.
  var view: AliasView
  /// Whether the memory that it has is its own, which `resize_` made grow, rather than another tensor's.
  var hasGrown = false

  init(_ view: AliasView) { self.view = view }
}

/// What a node of the captured program gives.
typealias CapturedValue = Argument<CapturedTensor>
