import GraphIR
import Synchronization
import TensorCore

/// Where a gradient goes: an input of a gradient function.
public struct GradientEdge {
  public let function: GradientFunction
  /// Which of the function's inputs: the number of the result that the function's forward counterpart gave.
  public let inputIndex: Int

  public init(_ function: GradientFunction, inputIndex: Int = 0) {
    self.function = function
    self.inputIndex = inputIndex
  }
}

/// A node of the tape: takes the gradients of what one step gave, and gives the gradients of what it took.
open class GradientFunction {
  private static let counter = Atomic<UInt64>(0)

  /// Where the gradients that `apply` gives go; nil where none is wanted. Edges lead to functions made earlier.
  public internal(set) var nextEdges: [GradientEdge?]
  /// What the forward step gave, by result: what its gradients must look like. nil for a result that was not given.
  public internal(set) var inputMetadata: [TensorMeta?]
  /// Counts up with each function made: descending order is an order to run them in.
  let sequenceNumber: UInt64
  private var ownHooks: HookTable?

  public init(nextEdges: [GradientEdge?] = [], inputMetadata: [TensorMeta?] = []) {
    self.nextEdges = nextEdges
    self.inputMetadata = inputMetadata
    self.sequenceNumber = Self.counter.wrappingAdd(1, ordering: .relaxed).newValue
  }

  deinit {
    if !nextEdges.isEmpty { DeferredRelease.release { handOverEdges(&$0) } }
  }

  final func handOverEdges(_ pending: inout [AnyObject]) {
    for edge in nextEdges { if let edge { pending.append(edge.function) } }
    nextEdges = []
  }

  /// What to call it in messages, such as `aten.mul.Tensor`.
  open var name: String { "\(type(of: self))" }

  /// The operator that it differentiates, if it is one.
  open var operatorName: OperatorName? { nil }

  /// The gradients for `nextEdges`, from those of the results; nil is zero.
  open func apply(_ gradients: [Tensor?]) throws -> [Tensor?] {
    throw AutogradError(.notDifferentiable, in: operatorName, "\(name) defines no gradient")
  }

  /// As `apply`, which will not run again: what was saved for it may be used up, and is freed.
  open func applyForLastTime(_ gradients: [Tensor?]) throws -> [Tensor?] {
    let given = try apply(gradients)
    releaseSavedTensors()
    return given
  }

  /// Frees what was saved for `apply`, which will not run again.
  open func releaseSavedTensors() {}

  /// Whether a gradient may go on through the function.
  var leadsOn: Bool { true }

  /// Why there is no gradient to give; nil where there is one.
  var missingDerivative: AutogradError? { nil }

  /// Calls `body` with each tensor that was saved for `apply`.
  func forEachSaved(_ body: (SavedTensor) -> Void) {}

  /// As `apply` or `applyForLastTime`, where the gradients may be taken over.
  func consume(_ gradients: inout [Tensor?], isLast: Bool) throws -> [Tensor?] {
    try isLast ? applyForLastTime(gradients) : apply(gradients)
  }

  var hooks: HookTable? { ownHooks }

  func makeHooks() -> HookTable {
    if let hooks { return hooks }
    let hooks = HookTable()
    ownHooks = hooks
    return hooks
  }

  /// Hands the keeping of a result's gradient on to what is the tensor's history from now on.
  final func moveRetainedGradient(ofResult index: Int, to other: GradientEdge) {
    guard let retained = ownHooks?.retained.removeValue(forKey: index) else { return }
    other.function.makeHooks().retained[other.inputIndex] = retained
  }
}
