import GraphIR
import TensorCore

/// What decides how an operator call is handled, per thread.
///
/// What every call asks for is never read while it is being written: its accesses need no checks at run time.
public final class DispatchContext {
  private static let perThread = ThreadLocal { DispatchContext() }

  /// The calling thread's context.
  public static var current: DispatchContext { perThread.value }

  /// Whether calls on tensors that require gradients are recorded.
  @exclusivity(unchecked) public var isGradEnabled = true
  /// Whether new tensors are kept out of autograd for good.
  @exclusivity(unchecked) public var isInferenceMode = false
  /// The type that `autocast` computes in where it may; nil outside of it.
  public package(set) var autocastDType: DType?
  /// Whether autograd sees calls at all.
  package var recordsGradients: Bool { isGradEnabled && !isInferenceMode }
  /// The innermost interceptor, if any; see `DispatchMode`.
  @exclusivity(unchecked) public package(set) var mode: (any DispatchMode)?
  /// Whether factories make fake tensors.
  package var makesFakeTensors = false
  /// The recompute regions that calls are made in, innermost last.
  package var recomputeRegions = RecomputeRegions()
  /// Where the call that a program is being run at was written; nil where Swift code makes the calls.
  package var programSource: SourceLocation?
  /// What keeps tensors that autograd saves in its own way, if any.
  package var savedTensorPacker: (any SavedTensorPacker)?

  init() {}

  /// Runs `body` with another interceptor, or none.
  package func withMode<Result>(_ mode: (any DispatchMode)?, _ body: () throws -> Result) rethrows -> Result {
    let saved = self.mode
    self.mode = mode
    defer { self.mode = saved }
    return try body()
  }

  /// Runs `body` with grad mode on or off.
  package func withGrad<Result, Failure: Error>(
    _ isEnabled: Bool, _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let saved = isGradEnabled
    isGradEnabled = isEnabled
    defer { isGradEnabled = saved }
    return try body()
  }

  /// Runs `body` with what autograd saves kept by `packer`.
  package func withSavedTensorPacker<Result>(
    _ packer: any SavedTensorPacker, _ body: () throws -> Result
  ) rethrows -> Result {
    let saved = savedTensorPacker
    savedTensorPacker = packer
    defer { savedTensorPacker = saved }
    return try body()
  }

  package func withFakeTensors<Result>(_ makesFake: Bool, _ body: () throws -> Result) rethrows -> Result {
    let saved = makesFakeTensors
    makesFakeTensors = makesFake
    defer { makesFakeTensors = saved }
    return try body()
  }
}

/// Sees every operator call below autograd, in place of the kernels: how a function is captured.
public protocol DispatchMode: AnyObject {
  /// Stands in for a tensor before autograd sees it, as when a captured closure uses a tensor from outside.
  func lift(_ tensor: Tensor) throws -> Tensor

  /// Handles a call; `Dispatcher.execute` is what would have happened without the mode.
  func dispatch(_ call: OperatorCall) throws -> Value

  /// Makes the captured function fail with this error when it ends: for uses that cannot be captured in places that cannot throw.
  func refuse(_ error: any Error)

  /// Notes that the captured function read a variable, and holds only while that is as it was.
  func depend(on read: GuardedRead)
}

/// Keeps what autograd saves for the backward pass in a way of its own: by a recipe, say, in place of the memory.
package protocol SavedTensorPacker: AnyObject {
  /// - Returns: What gives the elements of the tensor back; nil where autograd is to keep the memory.
  func pack(_ tensor: Tensor) throws -> (() throws -> Tensor)?
}

/// Autograd's side of the dispatch seam: found on the tensors that a call involves.
open class AutogradDispatch: AutogradMeta {
  /// Whether calls on the tensor are to be recorded.
  open var requiresGrad: Bool { false }

  /// Handles a call that involves a tensor which requires gradients, while grad mode is on; `Dispatcher.callBelowAutograd`
  /// computes it.
  open func dispatch(_ call: OperatorCall) throws -> Value { try Dispatcher.callBelowAutograd(call) }

  /// Has a view, which this is the state of or its base's, keep the gradient history that it has now, whatever becomes of the base.
  open func settleHistory(of tensor: Tensor) throws {}
}

extension Tensor {
  /// The autograd state that asks for calls on this tensor to be recorded: its own or, for a view, its base's.
  package var recordingAutograd: AutogradDispatch? {
    if let own = autogradDispatch, own.requiresGrad { return own }
    guard let base = viewMeta?.base.autogradDispatch, base.requiresGrad else { return nil }
    return base
  }

  /// What autograd keeps about this tensor.
  package var autogradDispatch: AutogradDispatch? {
    autogradMeta.map { unsafeDowncast($0, to: AutogradDispatch.self) }
  }

  /// Whether the tensor's memory was made in inference mode: autograd can never use it.
  public var isInference: Bool { storage.isInference }
}
