/// Puts members together to a zip archive, each as it is.
enum StoredArchive {
  static func bytes(_ members: [(name: String, bytes: [UInt8])]) -> [UInt8] {
    var (archive, directory): ([UInt8], [UInt8]) = ([], [])
    for (name, bytes) in members {
      let name = Array(name.utf8)
      let sum = Int(bytes.withUnsafeBytes { CRC32.checksum($0) })
      // Versions, flags, method and date, then checksum and sizes, as both kinds of header have them.
      let facts =
        number(20, 2) + [UInt8](repeating: 0, count: 8) + number(sum, 4) + number(bytes.count, 4)
        + number(bytes.count, 4) + number(name.count, 2) + number(0, 2)
      directory +=
        number(0x0201_4B50, 4) + number(20, 2) + facts + [UInt8](repeating: 0, count: 10)
        + number(archive.count, 4) + name
      archive += number(0x0403_4B50, 4) + facts + name + bytes
    }
    let end =
      number(0x0605_4B50, 4) + number(0, 4) + number(members.count, 2) + number(members.count, 2)
      + number(directory.count, 4) + number(archive.count, 4) + number(0, 2)
    return archive + directory + end
  }

  /// Little-endian.
  private static func number(_ value: Int, _ byteCount: Int) -> [UInt8] {
    (0..<byteCount).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }
}
