/// Data that came with the program or from a file and is not what it should be.
struct DataError: Error, CustomStringConvertible {
  let description: String
}

extension StaticString {
  /// The literal's bytes.
  ///
  /// - Throws: `DataError` where their FNV-1a hash is not the one that was written down when they were embedded.
  func verifiedBytes(checksum: UInt64, name: String) throws(DataError) -> [UInt8] {
    let bytes = withUTF8Buffer { Array($0) }
    guard bytes.checksum == checksum else {
      throw DataError(
        description: "the embedded \(name) is damaged: its checksum is \(bytes.checksum), not \(checksum)")
    }
    return bytes
  }
}

extension Sequence<UInt8> {
  /// 64-bit FNV-1a.
  var checksum: UInt64 {
    reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }
}
