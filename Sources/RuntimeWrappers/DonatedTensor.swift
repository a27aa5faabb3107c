import GraphIR
import TensorCore

/// A saved tensor whose memory the last run of a backward graph may use for something else, if nobody else turns out to hold it.
struct DonatedTensor {
  /// Among the saved values.
  let position: Int
  private let byteCount: Int?

  init(_ position: Int, _ meta: TensorMeta) {
    self.position = position
    byteCount = try? meta.layout.requiredByteCount(meta.dtype)
  }

  /// Whether the tensor at this position fills a storage that nothing but these values holds.
  func isOurs(in saved: inout [Value]) -> Bool {
    guard var tensor = saved[position].reference else { return false }
    saved[position] = .none
    defer { saved[position] = .reference(tensor) }
    return isKnownUniquelyReferenced(&tensor) && isKnownUniquelyReferenced(&tensor.storage)
      && tensor.layout.offset == 0 && tensor.storage.byteCount == byteCount
  }
}
