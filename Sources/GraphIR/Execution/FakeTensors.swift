import TensorCore

/// Makes fake tensors from metadata and metadata from tensors, with the sharing of storages kept.
final class FakeTensors {
  /// Fake storages by the number that metadata gives them.
  private var byNumber: [Int: Storage] = [:]
  private var byteCounts: [Int: Int] = [:]
  /// Fake storages for real ones, and the real ones, which must live as long as their address is a key.
  private var standIns: [ObjectIdentifier: (real: Storage, fake: Storage)] = [:]
  private var numbers: [ObjectIdentifier: Int] = [:]
  private var numbered: [Storage] = []

  init() {}

  /// - Parameter values: All metadata that tensors will be made from: the largest of those that share a storage sizes it.
  init(for values: some Sequence<MetaValue>) {
    for value in values {
      value.forEachReference { tensor in
        guard let number = tensor.storageID else { return }
        let bytes = tensor.layout.requiredByteCount(itemBytes: tensor.dtype.byteCount) ?? 0
        byteCounts[number] = max(byteCounts[number] ?? 0, bytes)
      }
    }
  }

  func value(of meta: MetaValue) throws(GraphError) -> Value {
    try meta.map { (meta: TensorMeta) throws(GraphError) -> Value in .reference(try tensor(of: meta)) }
  }

  func tensor(of meta: TensorMeta) throws(GraphError) -> Tensor {
    guard let bytes = meta.layout.requiredByteCount(itemBytes: meta.dtype.byteCount) else {
      throw GraphError(.malformed, "no memory could hold a tensor \(meta)")
    }
    let storage: Storage
    if let number = meta.storageID {
      storage = byNumber[number] ?? Storage(fakeByteCount: max(bytes, byteCounts[number] ?? 0), device: meta.device)
      byNumber[number] = storage
    } else {
      storage = Storage(fakeByteCount: bytes, device: meta.device)
    }
    do {
      return try Tensor(storage: storage, layout: meta.layout, dtype: meta.dtype)
    } catch {
      throw GraphError(.malformed, "a tensor \(meta) does not fit its storage: \(error)")
    }
  }

  /// A tensor like this one without memory; views of one storage stay views of one storage.
  func fake(_ tensor: Tensor) throws(GraphError) -> Tensor {
    if tensor.isFake { return tensor }
    let key = ObjectIdentifier(tensor.storage)
    let fake = standIns[key]?.fake ?? Storage(fakeByteCount: tensor.storage.byteCount, device: tensor.device)
    standIns[key] = (tensor.storage, fake)
    do {
      return try Tensor(storage: fake, layout: tensor.layout, dtype: tensor.dtype)
    } catch {
      throw GraphError(.malformed, "a tensor does not fit its storage: \(error)")
    }
  }

  func fake(_ value: Value) throws(GraphError) -> Value {
    try value.map { (tensor: Tensor) throws(GraphError) -> Value in .reference(try fake(tensor)) }
  }

  /// The number of a storage, in order of first appearance.
  func number(of storage: Storage) -> Int {
    let key = ObjectIdentifier(storage)
    if let number = numbers[key] { return number }
    numbers[key] = numbered.count
    numbered.append(storage)
    return numbered.count - 1
  }
}
