import Operators

/// Whether calls on tensors that require gradients are recorded on this thread.
public var isGradEnabled: Bool { DispatchContext.current.recordsGradients }

/// Switches recording on or off on this thread, until it is switched again or the enclosing `noGrad`, `enableGrad` or
/// `inferenceMode` ends.
public func setGradEnabled(_ isEnabled: Bool) { DispatchContext.current.isGradEnabled = isEnabled }

/// Runs `body` without recording: no result requires a gradient.
///
/// Views of tensors that require gradients are the exception, as in PyTorch: they share `requiresGrad` with their base.
public func noGrad<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
  try DispatchContext.current.withGrad(false, body)
}

/// Runs `body` with recording, inside `noGrad` for instance.
public func enableGrad<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
  try DispatchContext.current.withGrad(true, body)
}

/// Runs `body` without recording, and keeps what operators make out of autograd for good.
///
/// Outside, such a tensor can be read but neither written to nor saved for a backward pass; a clone can.
public func inferenceMode<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
  let context = DispatchContext.current
  let saved = context.isInferenceMode
  context.isInferenceMode = true
  defer { context.isInferenceMode = saved }
  return try context.withGrad(false, body)
}
