extension JSONValue {
  /// Reads JSON as RFC 8259 has it. An object keeps all its members, also those of one name.
  ///
  /// Memory stays below 64 times the bytes of the text, whatever it holds.
  ///
  /// - Throws: `GraphError` with code `syntax`, line and column, what was found and what was expected.
  package init(parsing text: some StringProtocol) throws(GraphError) {
    try self.init(parsing: Array(text.utf8))
  }

  /// Reads JSON in UTF-8.
  package init(parsing bytes: [UInt8]) throws(GraphError) {
    var scanner = JSONScanner(bytes)
    self = try scanner.value()
    scanner.skipSpace()
    guard scanner.isAtEnd else { throw scanner.failure(expected: "the end of the text") }
  }
}

/// Reads JSON from bytes in one pass, and says where and why it cannot.
///
/// No text can make it trap: it never reads past the end and bounds nesting.
private struct JSONScanner {
  private let bytes: [UInt8]
  private var position = 0
  private var depth = 0

  /// The deepest nesting a text may have: far above what programs have, far below what a thread's stack holds.
  private static let maximumDepth = 100

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { position >= bytes.count }

  /// The byte here, or zero at the end.
  private var current: UInt8 { position < bytes.count ? bytes[position] : 0 }

  mutating func skipSpace() {
    while position < bytes.count, bytes[position] <= 0x20 {
      guard bytes[position] == 0x20 || bytes[position] == 0x0A || bytes[position] == 0x0D || bytes[position] == 0x09
      else {
        return
      }
      position += 1
    }
  }

  func failure(expected: String) -> GraphError {
    let scanner = TextScanner(bytes, at: position)
    return scanner.failure(expected: expected)
  }

  private func failure(_ message: String, at start: Int) -> GraphError {
    TextScanner(bytes, at: start).failure(message, at: start)
  }

  // MARK: - Structure

  mutating func value() throws(GraphError) -> JSONValue {
    skipSpace()
    switch current {
    case UInt8(ascii: "{"): return try nested { scanner throws(GraphError) in try scanner.object() }
    case UInt8(ascii: "["): return try nested { scanner throws(GraphError) in try scanner.array() }
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "n") where take("null"): return .null
    case UInt8(ascii: "t") where take("true"): return .bool(true)
    case UInt8(ascii: "f") where take("false"): return .bool(false)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: throw failure(expected: "a value")
    }
  }

  private mutating func nested(
    _ body: (inout JSONScanner) throws(GraphError) -> JSONValue
  ) throws(GraphError) -> JSONValue {
    guard depth < Self.maximumDepth else {
      throw failure("nested more than \(Self.maximumDepth) deep", at: position)
    }
    depth += 1
    defer { depth -= 1 }
    position += 1
    return try body(&self)
  }

  private mutating func object() throws(GraphError) -> JSONValue {
    var members: [JSONValue.Member] = []
    if takeMark("}") { return .object(members) }
    repeat {
      skipSpace()
      guard current == UInt8(ascii: "\"") else { throw failure(expected: "a string") }
      let key = try string()
      guard takeMark(":") else { throw failure(expected: "':'") }
      members.append(.init(key, try value()))
    } while takeMark(",")
    guard takeMark("}") else { throw failure(expected: "',' or '}'") }
    return .object(members)
  }

  private mutating func array() throws(GraphError) -> JSONValue {
    var values: [JSONValue] = []
    if takeMark("]") { return .array(values) }
    repeat { values.append(try value()) } while takeMark(",")
    guard takeMark("]") else { throw failure(expected: "',' or ']'") }
    return .array(values)
  }

  private mutating func takeMark(_ mark: Unicode.Scalar) -> Bool {
    skipSpace()
    guard position < bytes.count, bytes[position] == UInt8(ascii: mark) else { return false }
    position += 1
    return true
  }

  private mutating func take(_ word: StaticString) -> Bool {
    let length = word.utf8CodeUnitCount
    guard position + length <= bytes.count,
      word.withUTF8Buffer({ bytes[position..<position + length].elementsEqual($0) })
    else { return false }
    position += length
    return true
  }

  // MARK: - Numbers

  /// An integer that does not fit into 64 bits becomes the nearest double, as other numbers are.
  private mutating func number() throws(GraphError) -> JSONValue {
    let start = position
    if current == UInt8(ascii: "-") { position += 1 }
    let startsWithZero = current == UInt8(ascii: "0")
    let digitCount = skipDigits()
    guard digitCount > 0, !startsWithZero || digitCount == 1 else { throw failure("this is no number", at: start) }
    var isInteger = true
    if current == UInt8(ascii: ".") {
      isInteger = false
      position += 1
      guard skipDigits() > 0 else { throw failure(expected: "the digits of a fraction") }
    }
    if current | 0x20 == UInt8(ascii: "e") {
      isInteger = false
      position += 1
      if current == UInt8(ascii: "-") || current == UInt8(ascii: "+") { position += 1 }
      guard skipDigits() > 0 else { throw failure(expected: "the digits of an exponent") }
    }
    if isInteger, digitCount <= 18 { return .int(smallInteger(at: start)) }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isInteger, let value = Int(text) { return .int(value) }
    guard let value = Double(text), value.isFinite else { throw failure("the number is out of range", at: start) }
    return .double(value)
  }

  /// The integer that ends here, of digits few enough to fit.
  private func smallInteger(at start: Int) -> Int {
    let isNegative = bytes[start] == UInt8(ascii: "-")
    let digits = bytes[(isNegative ? start + 1 : start)..<position]
    let magnitude = digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    return isNegative ? -magnitude : magnitude
  }

  private mutating func skipDigits() -> Int {
    let start = position
    while TextScanner.isDigit(current) { position += 1 }
    return position - start
  }

  // MARK: - Strings

  private mutating func string() throws(GraphError) -> String {
    let start = position
    position += 1
    let end = plainEnd(from: position)
    if end < bytes.count, bytes[end] == UInt8(ascii: "\"") {
      defer { position = end + 1 }
      return try decoded(bytes[position..<end], at: start)
    }
    var content: [UInt8] = []
    while true {
      let end = plainEnd(from: position)
      content += bytes[position..<end]
      position = end
      switch current {
      case UInt8(ascii: "\"") where !isAtEnd:
        position += 1
        return try decoded(content[...], at: start)
      case UInt8(ascii: "\\"):
        position += 1
        content += String(Character(try escape())).utf8
      default: throw failure("the string does not end", at: start)
      }
    }
  }

  /// Where the first quotation mark, backslash, control character or end of the text is.
  private func plainEnd(from start: Int) -> Int {
    var end = start
    while end < bytes.count, bytes[end] >= 0x20, bytes[end] != UInt8(ascii: "\""), bytes[end] != UInt8(ascii: "\\") {
      end += 1
    }
    return end
  }

  private func decoded(_ content: ArraySlice<UInt8>, at start: Int) throws(GraphError) -> String {
    guard let string = String(validating: content, as: UTF8.self) else {
      throw failure("the string is not UTF-8", at: start)
    }
    return string
  }

  private mutating func escape() throws(GraphError) -> Unicode.Scalar {
    let kind = current
    position += 1
    switch kind {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(kind)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      let start = position
      let high = try codeUnit()
      if let scalar = Unicode.Scalar(high) { return scalar }
      // A pair of surrogates spells a scalar beyond 16 bits.
      if take("\\u") {
        let low = try codeUnit()
        if (0xD800...0xDBFF).contains(high), (0xDC00...0xDFFF).contains(low),
          let scalar = Unicode.Scalar(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
        {
          return scalar
        }
      }
      throw failure("a surrogate without its other half", at: start)
    default:
      position -= 1
      throw failure(expected: "an escape such as \\n")
    }
  }

  private mutating func codeUnit() throws(GraphError) -> UInt32 {
    guard position + 4 <= bytes.count,
      let unit = UInt32(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16),
      bytes[position] != UInt8(ascii: "+"), bytes[position] != UInt8(ascii: "-")
    else { throw failure(expected: "four hexadecimal digits") }
    position += 4
    return unit
  }
}
