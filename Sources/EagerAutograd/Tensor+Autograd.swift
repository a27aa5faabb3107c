import GraphIR
import Operators
import TensorCore

extension Tensor {
  /// Whether gradients with respect to this tensor are computed: it is a leaf that was asked for them, or was computed from
  /// such tensors. A view requires a gradient if its base does.
  public var requiresGrad: Bool { recordingAutograd != nil }

  /// This leaf, asked for gradients: `let w = try Tensor([1.0, 2.0]).requiringGrad()`.
  ///
  /// - Throws: As `setRequiresGrad`.
  @discardableResult
  public func requiringGrad() throws -> Tensor {
    try setRequiresGrad(true)
    return self
  }

  /// Asks for gradients of this leaf, or no longer.
  ///
  /// - Throws: `AutogradError` with code `notFloatingPoint`; `notLeaf` where gradients of a computed tensor are to be
  ///   switched off; `inferenceTensor` for a tensor made in inference mode.
  public func setRequiresGrad(_ isRequired: Bool) throws {
    guard isLeaf else {
      if isRequired { return }
      throw AutogradError(
        .notLeaf, "gradients can be switched off for leaves alone; detach() gives a tensor without history")
    }
    guard dtype.isFloatingPoint || !isRequired else {
      throw AutogradError(.notFloatingPoint, "only floating-point tensors can require gradients, this one is \(dtype)")
    }
    guard !isInference || !isRequired || DispatchContext.current.isInferenceMode else {
      throw AutogradError(
        .inferenceTensor, "a tensor made in inference mode cannot require gradients outside of it; clone it first")
    }
    makeAutogradState().isRequired = isRequired
  }

  /// Whether the tensor was not computed from tensors that require gradients.
  public var isLeaf: Bool {
    if autogradState?.history != nil { return false }
    guard let record = viewRecord, record.historyVersion != storage.version else { return true }
    return autogradState?.isRequired == true || !record.base.requiresGrad
  }

  /// The gradient that backward passes have added up: of a leaf that requires it, or after `retainGrad()`.
  ///
  /// It can be set, to nil to start anew; what is set has to have the tensor's shape by the next backward pass. A function
  /// that reads or sets it cannot be captured: capturing throws.
  public var grad: Tensor? {
    get {
      refuseCapture("read")
      return autogradState?.gradient
    }
    set {
      refuseCapture("set")
      if newValue == nil && autogradState == nil { return }
      makeAutogradState().gradient = newValue
    }
  }

  /// The gradient is another tensor at every call; a captured function would keep the one it found.
  private func refuseCapture(_ use: String) {
    DispatchContext.current.mode?.refuse(
      AutogradError(
        .notCapturable,
        "a tensor's grad was \(use) while a function is captured; give the gradient to the function as an argument"))
  }

  /// What passes this tensor's gradient on; nil for a leaf.
  ///
  /// - Throws: `AutogradError` with code `viewInPlace` where the memory of a view was written to in a way that its gradient
  ///   cannot follow.
  public var gradientFunction: GradientFunction? { get throws { try currentHistory()?.function } }
}
