/// Reads the words of a text form from UTF-8, bytes in, and says where and why it cannot.
///
/// No text can make it trap: it never reads past the end, refuses integers that do not fit, and bounds nesting.
struct TextScanner {
  let bytes: [UInt8]
  var position = 0
  /// How many brackets are open around the current position.
  private var depth = 0

  /// The deepest nesting a text may have: far above what graphs have, far below what a thread's stack holds.
  static let maximumDepth = 100

  init(_ text: some StringProtocol) {
    bytes = Array(text.utf8)
  }

  init(_ bytes: [UInt8], at position: Int) {
    self.bytes = bytes
    self.position = position
  }

  var isAtEnd: Bool { position >= bytes.count }

  /// The byte here, or zero at the end.
  var current: UInt8 { position < bytes.count ? bytes[position] : 0 }

  func byte(after offset: Int) -> UInt8 { position + offset < bytes.count ? bytes[position + offset] : 0 }
}

// MARK: - Errors

extension TextScanner {
  /// An error at the current position: what stands there, and what should.
  func failure(expected: String) -> GraphError {
    var ahead = self
    ahead.skipSpace()
    return GraphError(.syntax, "\(place(of: ahead.position)): found \(ahead.found), expected \(expected)")
  }

  /// An error about what begins at `start`.
  func failure(_ message: String, at start: Int, code: GraphError.Code = .syntax) -> GraphError {
    GraphError(code, "\(place(of: start)): \(message)")
  }

  /// `line:column` of a byte, both from 1; columns count characters.
  private func place(of offset: Int) -> String {
    let before = bytes[..<min(offset, bytes.count)]
    let lineStart = (before.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
    let line = before.count { $0 == UInt8(ascii: "\n") } + 1
    let column = String(decoding: before[lineStart...], as: UTF8.self).count + 1
    return "\(line):\(column)"
  }

  private var found: String {
    if isAtEnd { return "the end of the text" }
    if current == UInt8(ascii: "\n") { return "the end of the line" }
    var end = position
    if Self.isWord(current) {
      while end < bytes.count, end - position < 40, Self.isWord(bytes[end]) { end += 1 }
    } else {
      end += 1
      while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
    }
    return "'\(String(decoding: bytes[position..<end], as: UTF8.self))'"
  }
}

// MARK: - Words and punctuation

extension TextScanner {
  static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }
  static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 || byte == UInt8(ascii: "_") }
  static func isWord(_ byte: UInt8) -> Bool { isLetter(byte) || isDigit(byte) }

  /// Passes over blanks, tabs and carriage returns.
  mutating func skipBlanks() {
    while position < bytes.count, bytes[position] == 0x20 || bytes[position] == 0x09 || bytes[position] == 0x0D {
      position += 1
    }
  }

  /// Passes over blanks, line ends and comments from `//` to the end of their line.
  mutating func skipSpace() {
    while true {
      skipBlanks()
      if current == UInt8(ascii: "\n"), !isAtEnd {
        position += 1
      } else if current == UInt8(ascii: "/"), byte(after: 1) == UInt8(ascii: "/") {
        while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { position += 1 }
      } else {
        return
      }
    }
  }

  /// Takes a punctuation mark if it comes next, with the space before it; stays in place otherwise.
  mutating func take(_ mark: StaticString) -> Bool {
    let start = position
    skipSpace()
    guard isNext(mark) else {
      position = start
      return false
    }
    position += mark.utf8CodeUnitCount
    return true
  }

  /// Whether these very bytes come next.
  func isNext(_ mark: StaticString) -> Bool {
    let length = mark.utf8CodeUnitCount
    guard position + length <= bytes.count else { return false }
    return mark.withUTF8Buffer { mark in bytes[position..<position + length].elementsEqual(mark) }
  }

  mutating func expect(_ mark: StaticString) throws(GraphError) {
    guard take(mark) else { throw failure(expected: "'\(mark)'") }
  }

  /// Takes an identifier if one comes next.
  mutating func takeIdentifier() -> String? {
    skipSpace()
    guard Self.isLetter(current) else { return nil }
    let start = position
    while position < bytes.count, Self.isWord(bytes[position]) { position += 1 }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  mutating func identifier(_ role: String) throws(GraphError) -> String {
    guard let name = takeIdentifier() else { throw failure(expected: role) }
    return name
  }

  /// Takes this identifier if it comes next, whole.
  mutating func takeWord(_ word: StaticString) -> Bool {
    let start = position
    guard take(word), !Self.isWord(current) else {
      position = start
      return false
    }
    return true
  }

  /// Reads one level deeper.
  mutating func nested<Result>(_ body: (inout TextScanner) throws(GraphError) -> Result) throws(GraphError) -> Result {
    guard depth < Self.maximumDepth else {
      throw failure("nested more than \(Self.maximumDepth) deep", at: position)
    }
    depth += 1
    defer { depth -= 1 }
    return try body(&self)
  }

  /// Reads elements separated by commas up to a closing mark; a comma before it is allowed.
  ///
  /// - Returns: Whether a comma stood before the closing mark.
  @discardableResult
  mutating func list(
    until close: StaticString, _ element: (inout TextScanner) throws(GraphError) -> Void
  ) throws(GraphError) -> Bool {
    if take(close) { return false }
    while true {
      try nested { scanner throws(GraphError) in try element(&scanner) }
      if take(close) { return false }
      guard take(",") else { throw failure(expected: "',' or '\(close)'") }
      if take(close) { return true }
    }
  }
}

// MARK: - Numbers and strings

extension TextScanner {
  enum Number {
    case int(Int)
    case double(Double)
  }

  /// Takes a number if one comes next: `-3`, `0.5`, `1.`, `1e-05`, `inf`, `nan`, `nan(0x7ff8000000000001)`.
  mutating func takeNumber() throws(GraphError) -> Number? {
    skipSpace()
    let start = position
    let isNegative = current == UInt8(ascii: "-")
    let first = isNegative ? byte(after: 1) : current
    if first == UInt8(ascii: "i") || first == UInt8(ascii: "n") {
      if isNegative { position += 1 }
      if let value = try takeSpecialNumber() { return .double(isNegative ? -value : value) }
      position = start
      return nil
    }
    guard Self.isDigit(first) else { return nil }
    if isNegative { position += 1 }
    while Self.isDigit(current) { position += 1 }
    var isInteger = true
    if current == UInt8(ascii: ".") {
      isInteger = false
      position += 1
      while Self.isDigit(current) { position += 1 }
    }
    if current | 0x20 == UInt8(ascii: "e") {
      isInteger = false
      position += 1
      if current == UInt8(ascii: "-") || current == UInt8(ascii: "+") { position += 1 }
      guard Self.isDigit(current) else { throw failure(expected: "the digits of an exponent") }
      while Self.isDigit(current) { position += 1 }
    }
    if Self.isWord(current) { throw failure(expected: "the end of a number") }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isInteger {
      guard let value = Int(text) else { throw failure("the integer \(text) does not fit into 64 bits", at: start) }
      return .int(value)
    }
    guard let value = Double(text.hasSuffix(".") ? text + "0" : text.replacing(".e", with: ".0e")) else {
      throw failure("'\(text)' is not a number", at: start)
    }
    return .double(value)
  }

  private mutating func takeSpecialNumber() throws(GraphError) -> Double? {
    if takeWord("inf") { return .infinity }
    guard takeWord("nan") else { return nil }
    guard current == UInt8(ascii: "("), byte(after: 1) == UInt8(ascii: "0"), byte(after: 2) == UInt8(ascii: "x") else {
      return .nan
    }
    position += 3
    let start = position
    while Self.isWord(current) { position += 1 }
    let digits = String(decoding: bytes[start..<position], as: UTF8.self)
    guard let bits = UInt64(digits, radix: 16), Double(bitPattern: bits).isNaN else {
      throw failure("'\(digits)' are not the bits of a NaN", at: start)
    }
    try expect(")")
    return Double(bitPattern: bits)
  }

  mutating func integer(_ role: String) throws(GraphError) -> Int {
    skipSpace()
    let start = position
    guard case .int(let value)? = try takeNumber() else {
      position = start
      throw failure(expected: role)
    }
    return value
  }

  /// Takes a quoted string if one comes next; see `TextForm.quoted`.
  mutating func takeString() throws(GraphError) -> String? {
    skipSpace()
    guard current == UInt8(ascii: "\"") || current == UInt8(ascii: "'") else { return nil }
    let quote = current
    let start = position
    position += 1
    var content: [UInt8] = []
    while current != quote || isAtEnd {
      guard !isAtEnd, current != UInt8(ascii: "\n") else { throw failure("the string does not end", at: start) }
      if current == UInt8(ascii: "\\") {
        position += 1
        content += try escape().utf8
      } else {
        content.append(current)
        position += 1
      }
    }
    position += 1
    return String(decoding: content, as: UTF8.self)
  }

  /// What stands after a backslash.
  private mutating func escape() throws(GraphError) -> String {
    let kind = current
    switch kind {
    case UInt8(ascii: "n"), UInt8(ascii: "t"), UInt8(ascii: "r"), UInt8(ascii: "\\"), UInt8(ascii: "\""),
      UInt8(ascii: "'"):
      position += 1
      switch kind {
      case UInt8(ascii: "n"): return "\n"
      case UInt8(ascii: "t"): return "\t"
      case UInt8(ascii: "r"): return "\r"
      default: return String(UnicodeScalar(kind))
      }
    case UInt8(ascii: "u"):
      position += 1
      guard current == UInt8(ascii: "{") else { throw failure(expected: "'{' after '\\u'") }
      position += 1
      let start = position
      while Self.isWord(current) { position += 1 }
      let digits = String(decoding: bytes[start..<position], as: UTF8.self)
      guard let value = UInt32(digits, radix: 16), let scalar = UnicodeScalar(value) else {
        throw failure("'\(digits)' is not a Unicode scalar", at: start)
      }
      guard current == UInt8(ascii: "}") else { throw failure(expected: "'}'") }
      position += 1
      return String(Character(scalar))
    default:
      throw failure(expected: "one of n, t, r, u, \\, ' and \" after a backslash")
    }
  }
}
