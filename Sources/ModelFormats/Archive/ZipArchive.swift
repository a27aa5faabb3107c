import TensorCore

/// A zip archive of members that are stored as they are, as PyTorch writes them.
///
/// The central directory alone says what there is and where; members are checked against their checksums when they are read.
/// Archives of more than 4 GiB or 65,535 members (zip64) are read; compressed and encrypted members are refused.
struct ZipArchive {
  /// The members' names, in the order of the directory.
  private(set) var names: [String] = []
  private let region: ByteRegion
  private var members: [String: Member] = [:]

  private struct Member {
    var method: Int
    var isEncrypted: Bool
    var checksum: UInt32
    var storedCount: Int
    var count: Int
    var headerOffset: Int
  }

  /// Reads the directory.
  ///
  /// - Throws: `ModelFormatError` with code `malformed`.
  init(_ region: ByteRegion) throws(ModelFormatError) {
    self.region = region
    let directory = try Self.directory(of: region)
    var position = directory.offset
    for _ in 0..<directory.memberCount {
      position = try readEntry(at: position, end: directory.end)
    }
  }

  func contains(_ name: String) -> Bool { members[name] != nil }

  /// Where a member's bytes are.
  ///
  /// - Throws: `ModelFormatError` naming the member: `notFound`, `unsupported` where it is compressed or encrypted, `malformed`
  ///   where its checksum is not that of its bytes.
  func range(of name: String) throws(ModelFormatError) -> Range<Int> {
    guard let member = members[name] else { throw ModelFormatError(.notFound, "is not in the archive", member: name) }
    guard !member.isEncrypted, member.method == 0, member.storedCount == member.count else {
      throw ModelFormatError(
        .unsupported,
        "is \(member.isEncrypted ? "encrypted" : "compressed by method \(member.method)"); pack the archive anew "
          + "without that, as `zip -0` does", member: name)
    }
    let header = member.headerOffset
    guard region.integer(at: header, byteCount: 4) == 0x0403_4B50,
      let nameCount = region.integer(at: header + 26, byteCount: 2),
      let extraCount = region.integer(at: header + 28, byteCount: 2),
      region[header + 30..<header + 30 + nameCount].map({ $0.elementsEqual(name.utf8) }) == true
    else { throw ModelFormatError(.malformed, "has no header of its own where the directory says", member: name) }
    let start = header + 30 + nameCount + extraCount
    guard member.count <= region.count - start else {
      throw ModelFormatError(.malformed, "has \(member.count) bytes, which the archive does not hold", member: name)
    }
    let range = start..<start + member.count
    guard region.checksum(of: range) == member.checksum else {
      throw ModelFormatError(.malformed, "is damaged: its checksum is not that of its bytes", member: name)
    }
    return range
  }

  /// A member's bytes, copied.
  func bytes(of name: String) throws(ModelFormatError) -> [UInt8] { region[try range(of: name)] ?? [] }

  /// Memory for tensors over a member, without a copy where its place allows.
  func storage(of name: String, alignment: Int) throws -> Storage {
    try region.storage(of: try range(of: name), alignment: alignment)
  }

  // MARK: - The directory

  /// Finds the record that ends the archive, and its zip64 companion.
  private static func directory(
    of region: ByteRegion
  ) throws(ModelFormatError) -> (offset: Int, end: Int, memberCount: Int) {
    // A comment of up to 65,535 bytes may follow the record, which has 22 bytes without it.
    var end = region.count - 22
    let lowest = max(0, end - 65_535)
    while end >= lowest {
      if region.integer(at: end, byteCount: 4) == 0x0605_4B50,
        region.integer(at: end + 20, byteCount: 2) == region.count - end - 22
      {
        break
      }
      end -= 1
    }
    guard end >= lowest, end >= 0, var memberCount = region.integer(at: end + 10, byteCount: 2),
      var byteCount = region.integer(at: end + 12, byteCount: 4),
      var offset = region.integer(at: end + 16, byteCount: 4)
    else { throw ModelFormatError(.malformed, "this is no zip archive: it does not end as one") }
    if region.integer(at: end - 20, byteCount: 4) == 0x0706_4B50 {
      guard let record = region.integer(at: end - 12, byteCount: 8),
        region.integer(at: record, byteCount: 4) == 0x0606_4B50,
        let wideCount = region.integer(at: record + 32, byteCount: 8),
        let wideByteCount = region.integer(at: record + 40, byteCount: 8),
        let wideOffset = region.integer(at: record + 48, byteCount: 8)
      else { throw ModelFormatError(.malformed, "the archive's zip64 record is not where it should be") }
      (memberCount, byteCount, offset) = (wideCount, wideByteCount, wideOffset)
    }
    guard offset <= end, byteCount <= end - offset, memberCount <= byteCount / 46 else {
      throw ModelFormatError(.malformed, "the archive's directory does not fit into it")
    }
    return (offset, offset + byteCount, memberCount)
  }

  /// Reads one entry of the directory.
  ///
  /// - Returns: Where the next begins.
  private mutating func readEntry(at position: Int, end: Int) throws(ModelFormatError) -> Int {
    func number(_ offset: Int, _ byteCount: Int) throws(ModelFormatError) -> Int {
      guard position + offset + byteCount <= end,
        let value = region.integer(at: position + offset, byteCount: byteCount)
      else { throw ModelFormatError(.malformed, "the archive's directory ends inside entry \(names.count)") }
      return value
    }
    guard try number(0, 4) == 0x0201_4B50 else {
      throw ModelFormatError(.malformed, "entry \(names.count) of the archive's directory does not begin as one")
    }
    let (flags, nameCount, extraCount) = (try number(8, 2), try number(28, 2), try number(30, 2))
    let next = position + 46 + nameCount + extraCount + (try number(32, 2))
    guard next <= end, let bytes = region[position + 46..<position + 46 + nameCount],
      let name = String(validating: bytes, as: UTF8.self)
    else {
      throw ModelFormatError(.malformed, "the name of entry \(names.count) of the archive's directory is no text")
    }
    var member = Member(
      method: try number(10, 2), isEncrypted: flags & 1 == 1, checksum: UInt32(try number(16, 4)),
      storedCount: try number(20, 4), count: try number(24, 4), headerOffset: try number(42, 4))
    try widen(&member, extra: position + 46 + nameCount, extraCount, name)
    guard members.updateValue(member, forKey: name) == nil else {
      throw ModelFormatError(.malformed, "is in the archive twice", member: name)
    }
    names.append(name)
    return next
  }

  /// Takes the numbers that did not fit into 32 bits from the zip64 field.
  private func widen(
    _ member: inout Member, extra start: Int, _ count: Int, _ name: String
  ) throws(ModelFormatError) {
    let limit = 0xFFFF_FFFF
    guard member.count == limit || member.storedCount == limit || member.headerOffset == limit else { return }
    var position = start
    while position + 4 <= start + count, let kind = region.integer(at: position, byteCount: 2),
      let fieldCount = region.integer(at: position + 2, byteCount: 2), position + 4 + fieldCount <= start + count
    {
      guard kind == 1 else {
        position += 4 + fieldCount
        continue
      }
      var place = position + 4
      for part in [\Member.count, \Member.storedCount, \Member.headerOffset] where member[keyPath: part] == limit {
        guard place + 8 <= position + 4 + fieldCount, let value = region.integer(at: place, byteCount: 8) else { break }
        member[keyPath: part] = value
        place += 8
      }
      return
    }
    throw ModelFormatError(
      .malformed, "has a size or place of more than 32 bits, and no field that holds it", member: name)
  }
}
