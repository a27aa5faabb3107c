/// The names of a graph's nodes. A name that is taken gets the next free number: `mm`, `mm_1`, `mm_2`.
struct NameTable: Sendable {
  private var owners: [String: NodeID] = [:]
  /// The number to try next, per base name.
  private var nextSuffix: [String: Int] = [:]

  subscript(name: String) -> NodeID? { owners[name] }

  mutating func claim(_ wanted: String, for id: NodeID) -> String {
    var name = Self.identifier(wanted)
    if owners[name] != nil {
      let base = name
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
    let cleaned = String(name.unicodeScalars.map { $0.isASCII && isWord($0) ? Character($0) : "_" })
    return cleaned.first.map { $0.isNumber ? "_" + cleaned : cleaned } ?? "_"
  }

  static func isIdentifier(_ name: String) -> Bool {
    guard let first = name.unicodeScalars.first else { return false }
    return !("0"..."9").contains(first) && name.unicodeScalars.allSatisfy(isWord)
  }

  private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar) || scalar == "_"
  }
}
