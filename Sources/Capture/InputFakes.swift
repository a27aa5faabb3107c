import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Makes the fake tensors that stand for real ones while a closure is captured: the same geometry and autograd state, and
/// memory shared among them as it is among the real ones.
struct InputFakes {
  private var storages: [ObjectIdentifier: Storage] = [:]
  private var originals: [Storage] = []

  /// A fake twin of a real tensor.
  ///
  /// - Parameter sharesStorage: Whether other inputs lie in the same storage: only then do absolute offsets matter.
  mutating func twin(of tensor: Tensor, sharesStorage: Bool) throws -> Tensor {
    let twin = try plainTwin(of: tensor, sharesStorage: sharesStorage)
    twin.wrapperMeta = try wrapperMeta(of: tensor)
    return twin
  }

  private mutating func plainTwin(of tensor: Tensor, sharesStorage: Bool) throws -> Tensor {
    var layout = tensor.layout
    if !sharesStorage { layout.offset = 0 }
    let storage = fakeStorage(for: tensor)
    // What refuses inference tensors must not refuse to give the twin the state that the real tensor has.
    storage.isInference = false
    defer { storage.isInference = tensor.isInference }
    let leaf = try Tensor(storage: storage, layout: layout, dtype: tensor.dtype)
    guard tensor.requiresGrad else { return leaf }
    try leaf.setRequiresGrad(true)
    if tensor.isLeaf { return leaf }
    // A copy of a leaf has a history, as the real tensor has; only that fact matters, so its memory is replaced. A view of
    // a leaf is one here too: it must not be written to.
    let isViewOfLeaf = tensor.viewMeta.map { $0.base.requiresGrad && $0.base.isLeaf } ?? false
    let twin = try enableGrad { try isViewOfLeaf ? leaf.alias() : leaf.clone() }
    twin.storage = storage
    twin.layout = layout
    return twin
  }

  private mutating func fakeStorage(for tensor: Tensor) -> Storage {
    let storage =
      storages[ObjectIdentifier(tensor.storage)]
      ?? Storage(fakeByteCount: tensor.storage.byteCount, device: tensor.device)
    storages[ObjectIdentifier(tensor.storage)] = storage
    originals.append(tensor.storage)
    return storage
  }

  /// What a tensor of a wrapper subclass stands for, with fake inner tensors; nil for an ordinary one.
  mutating func wrapperMeta(of tensor: Tensor) throws -> WrapperMeta? {
    guard let subclass = tensor.subclass else { return nil }
    return WrapperRecord(
      try subclass.mapInnerTensors { inner in
        let wrapperMeta = try wrapperMeta(of: inner)
        return Tensor(
          unchecked: fakeStorage(for: inner), layout: inner.layout, dtype: inner.dtype, wrapperMeta: wrapperMeta)
      })
  }
}
