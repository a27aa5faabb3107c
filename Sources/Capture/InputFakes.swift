import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Makes the fake tensors that stand for real ones while a closure is captured: the same geometry and autograd state, and
/// memory and bases shared among them as they are among the real ones.
struct InputFakes {
  private var storages: [ObjectIdentifier: Storage] = [:]
  private var originals: [Storage] = []
  private var twins: [ObjectIdentifier: Tensor] = [:]
  private var originalTensors: [Tensor] = []

  /// A fake twin of a real tensor.
  ///
  /// - Parameter sharesStorage: Whether other inputs lie in the same storage: only then do absolute offsets matter.
  mutating func twin(of tensor: Tensor, sharesStorage: Bool) throws -> Tensor {
    if let known = twins[ObjectIdentifier(tensor)] { return known }
    let storage = twin(of: tensor.storage)
    // What refuses inference tensors must not refuse to give the twin the state that the real tensor has.
    storage.isInference = false
    defer { storage.isInference = tensor.isInference }
    let twin: Tensor
    if let record = tensor.viewRecord, record.base.storage === tensor.storage {
      twin = try view(tensor, record, sharesStorage: sharesStorage)
    } else {
      twin = try root(tensor, over: storage)
    }
    if !sharesStorage { twin.layout.offset = 0 }
    twin.wrapperMeta = try wrapperMeta(of: tensor)
    if tensor.viewGradient == .lost { twin.loseViewGradient() }
    twins[ObjectIdentifier(tensor)] = twin
    originalTensors.append(tensor)
    return twin
  }

  private mutating func twin(of storage: Storage) -> Storage {
    if let known = storages[ObjectIdentifier(storage)] { return known }
    let twin = Storage(fakeByteCount: storage.byteCount, device: storage.device)
    storages[ObjectIdentifier(storage)] = twin
    originals.append(storage)
    return twin
  }

  /// The twin of a tensor that is no view.
  private func root(_ tensor: Tensor, over storage: Storage) throws -> Tensor {
    let leaf = try Tensor(storage: storage, layout: tensor.layout, dtype: tensor.dtype)
    guard tensor.requiresGrad else { return leaf }
    try leaf.setRequiresGrad(true)
    if tensor.isLeaf { return leaf }
    // A copy of a leaf has a history, as the real tensor has; only that fact matters, so its memory is replaced.
    let twin = try enableGrad { try leaf.clone() }
    twin.storage = storage
    twin.layout = tensor.layout
    return twin
  }

  /// What a tensor of a wrapper subclass stands for, with fake inner tensors; nil for an ordinary one.
  mutating func wrapperMeta(of tensor: Tensor) throws -> WrapperMeta? {
    guard let subclass = tensor.subclass else { return nil }
    return WrapperRecord(
      try subclass.mapInnerTensors { inner in
        let wrapperMeta = try wrapperMeta(of: inner)
        return Tensor(
          unchecked: twin(of: inner.storage), layout: inner.layout, dtype: inner.dtype, wrapperMeta: wrapperMeta)
      })
  }

  /// The twin of a view: the same view of the twin of its base, or of another view that is a leaf by itself, so that autograd
  /// treats both alike.
  private mutating func view(_ tensor: Tensor, _ record: ViewRecord, sharesStorage: Bool) throws -> Tensor {
    let (origin, steps) = record.origin(requiresGrad: tensor.requiresGrad)
    let base = try twin(of: origin, sharesStorage: true)
    // The base may have been given another layout since.
    let isOrdinary = record.circumstance != .gradientsDisabled && record.circumstance != .inferenceMode
    // A view that was there before its base required a gradient has no history of its own.
    let isGradEnabled = isOrdinary && (tensor.hasOwnGradient || !tensor.requiresGrad)
    guard let twin = try? DispatchContext.current.withGrad(isGradEnabled, { try steps.applied(to: base) }),
      twin.sizes == tensor.sizes,
      twin.strides == tensor.strides
    else {
      let place = try DispatchContext.current.withGrad(tensor.hasOwnGradient || !tensor.requiresGrad) {
        try base.asStrided(tensor.sizes, tensor.strides, offset: tensor.layout.offset)
      }
      place.viewRecord?.circumstance = record.circumstance
      return place
    }
    twin.viewRecord?.circumstance = record.circumstance
    if tensor.isRequiringLeaf { try twin.setRequiresGrad(true) }
    return twin
  }

  /// What autograd knows as the base of an input, itself where it is no view.
  func baseFacts(of tensor: Tensor, numberedAmong inputs: [Tensor]) throws -> AOTGraphCapture.BaseFacts? {
    let base = tensor.baseInItsMemory
    guard let twin = twins[ObjectIdentifier(base)] else { return nil }
    return .init(
      number: inputs.firstIndex { $0.baseInItsMemory === base } ?? 0, meta: TensorMeta(base),
      requiresGrad: base.requiresGrad, isLeaf: base.isLeaf, requiresGradAfter: twin.requiresGrad,
      failureAfter: try twin.backwardFailure(), views: base === tensor ? [] : tensor.viewRecord?.steps ?? [],
      subclass: SubclassMeta(base))
  }
}

extension ViewRecord {
  /// The views that lead from the base to this one.
  fileprivate var steps: [ViewStep] {
    var steps: [ViewStep] = []
    var current: ViewRecord? = self
    while let record = current {
      steps.append(record.step)
      current = record.source.viewRecord
    }
    return steps.reversed()
  }

  /// Where this view has its gradient from, the base or another view that was made a leaf, and the views that lead from there.
  /// A view that was there before has none from such a leaf.
  fileprivate func origin(requiresGrad: Bool) -> (tensor: Tensor, steps: [ViewStep]) {
    var steps = [step]
    var source = source
    while let record = source.viewRecord, !requiresGrad || !source.isRequiringLeaf {
      steps.append(record.step)
      source = record.source
    }
    return (source, steps.reversed())
  }

  private var step: ViewStep {
    let arguments = arguments.map { $0.map { _ in Constant.none } }
    return ViewStep(target: target, arguments: arguments, resultIndex: resultIndex)
  }
}
