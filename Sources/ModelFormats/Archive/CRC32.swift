/// The checksum of zip archives: CRC-32 with the reflected polynomial 0xEDB88320.
enum CRC32 {
  /// Eight bytes are taken at a time: at `256 · k + b` is what byte `b` with `k` bytes after it adds.
  private static let table: [UInt32] = {
    var tables = [(0..<256).map { (0..<8).reduce(UInt32($0)) { value, _ in shifted(value) } }]
    for level in 1..<8 {
      let (first, previous) = (tables[0], tables[level - 1])
      tables.append(previous.map { $0 >> 8 ^ first[Int($0 & 0xFF)] })
    }
    return tables.flatMap(\.self)
  }()

  private static func shifted(_ value: UInt32) -> UInt32 {
    value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1
  }

  static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    var value: UInt32 = 0xFFFF_FFFF
    var position = 0
    table.withUnsafeBufferPointer { table in
      while position + 8 <= bytes.count {
        let low = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self)) ^ value
        let high = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position + 4, as: UInt32.self))
        value = 0
        for index in 0..<4 {
          value ^= table[(7 - index) << 8 + Int(low >> (8 * UInt32(index)) & 0xFF)]
          value ^= table[(3 - index) << 8 + Int(high >> (8 * UInt32(index)) & 0xFF)]
        }
        position += 8
      }
      while position < bytes.count {
        value = value >> 8 ^ table[Int((value ^ UInt32(bytes[position])) & 0xFF)]
        position += 1
      }
    }
    return ~value
  }
}
