import GraphIR
import TensorCore

/// A block of memory of the captured program.
final class Memory {
  enum Origin: Hashable {
    case input(Int)
    case constant(String)
    case intermediate
  }

  let origin: Origin
  /// The tensor that the captured program first had over the memory: views are replayed on it.
  let eager: TensorMeta
  /// What else shares this memory under another name, for messages; writing is refused then.
  var sharedWith: String?
  /// Whether `detach_` ended the history of a tensor over it.
  var isHistoryEnded = false
  /// The number of writes so far.
  private(set) var generation = 0
  private(set) var writes = WriteSummary()
  /// Whether views were taken of a tensor over it.
  var hasViews = false
  /// How often a tensor over the memory was given another layout, which eagerly counts as a write.
  private(set) var layoutChangeCount = 0

  init(origin: Origin, eager: TensorMeta) {
    self.origin = origin
    self.eager = eager
  }

  /// Whether the captured function made the memory.
  var isNew: Bool { origin == .intermediate }

  /// The number of times that the memory counts as written to.
  var version: Int { generation + layoutChangeCount }

  func recordLayoutChange() { layoutChangeCount += 1 }

  func recordWrite(_ write: WriteSummary.Write) {
    generation += 1
    writes.add(write)
  }
}

/// What autograd could see of the writes to a block of memory.
struct WriteSummary {
  struct Write {
    var isUnderNoGrad: Bool
    /// Whether it went through a tensor that autograd does not connect with the memory's first one, as `detach()` gives.
    var isHidden: Bool
    var metadata: NodeMetadata
  }

  private(set) var count = 0
  private(set) var areAllUnderNoGrad = true
  private(set) var areAllHidden = true
  private(set) var areAllUnseen = true
  /// Where the last one was written.
  private(set) var last = NodeMetadata()

  mutating func add(_ write: Write) {
    count += 1
    areAllUnderNoGrad = areAllUnderNoGrad && write.isUnderNoGrad
    areAllHidden = areAllHidden && write.isHidden
    areAllUnseen = areAllUnseen && (write.isUnderNoGrad || write.isHidden)
    last = write.metadata
  }
}
