import TensorCore

/// A set of storages, by identity, in memory that lives for one check.
struct StorageTable {
  private let slots: UnsafeMutableBufferPointer<UnsafeRawPointer?>
  private var mask: Int { slots.count - 1 }

  /// Runs `body` with an empty table with room for some storages.
  static func with<Result>(capacity: Int, _ body: (inout StorageTable) throws -> Result) rethrows -> Result {
    let count = 1 << (Int.bitWidth - (2 * capacity).leadingZeroBitCount)
    return try withUnsafeTemporaryAllocation(of: UnsafeRawPointer?.self, capacity: count) { slots in
      slots.initialize(repeating: nil)
      var table = StorageTable(slots: slots)
      return try body(&table)
    }
  }

  /// Adds a storage, and says whether it was there before.
  mutating func insert(_ key: UnsafeRawPointer) -> Bool {
    // Objects are aligned: the low bits tell nothing.
    var index = (Int(bitPattern: key) >> 5) & mask
    while let known = slots[index] {
      if known == key { return true }
      index = (index + 1) & mask
    }
    slots[index] = key
    return false
  }
}
