/// The names of a graph's nodes. A name that is taken gets the next free number: `mm`, `mm_1`, `mm_2`.
struct NameTable: Sendable {
  private var owners: [String: NodeID] = [:]
  /// The number to try next, per base name.
  private var nextSuffix: [String: Int] = [:]

  /// Words that mean something else in the text form.
  static let reserved: Set<String> = ["true", "false", "none", "inf", "nan", "return"]

  subscript(name: String) -> NodeID? { owners[name] }

  mutating func claim(_ wanted: String, for id: NodeID) -> String {
    var name = Self.identifier(wanted)
    if owners[name] != nil || Self.reserved.contains(name) {
      let base = Self.withoutSuffix(name)
      var suffix = nextSuffix[base] ?? 1
      repeat {
        name = "\(base)_\(suffix)"
        suffix += 1
      } while owners[name] != nil
      nextSuffix[base] = suffix
    }
    owners[name] = id
    return name
  }

  mutating func release(_ name: String) { owners[name] = nil }

  /// The name as an identifier: letters, digits and underscores, not starting with a digit, not empty.
  private static func identifier(_ name: String) -> String {
    if Self.isIdentifier(name) { return name }
    let cleaned = String(
      decoding: name.unicodeScalars.map { $0.isASCII && TextScanner.isWord(UInt8($0.value)) ? UInt8($0.value) : 0x5F },
      as: UTF8.self)
    return cleaned.utf8.first.map { TextScanner.isDigit($0) ? "_" + cleaned : cleaned } ?? "_"
  }

  static func isIdentifier(_ name: String) -> Bool {
    guard let first = name.utf8.first else { return false }
    return !TextScanner.isDigit(first) && name.utf8.allSatisfy(TextScanner.isWord)
  }

  /// `mm` for `mm_1`: numbers are given to a base name.
  private static func withoutSuffix(_ name: String) -> String {
    let base = name.utf8.reversed().drop { TextScanner.isDigit($0) }
    guard base.count < name.utf8.count, base.first == UInt8(ascii: "_"), base.count > 1 else { return name }
    return String(name.dropLast(name.utf8.count - base.count + 1))
  }
}
