/// A value of JSON, with integers told apart from other numbers and keys in their order.
enum JSONValue {
  case null
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
  case array([JSONValue])
  case object([Member])

  struct Member {
    var key: String
    var value: JSONValue

    init(_ key: String, _ value: JSONValue) {
      self.key = key
      self.value = value
    }
  }

  subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }

  var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .int, .double: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

// MARK: - Writing

extension JSONValue {
  var text: String {
    var text = ""
    append(to: &text)
    return text
  }

  func append(to text: inout String) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .int(let value): text += String(value)
    case .double(let value): text += value.description
    case .string(let value): Self.append(quoted: value, to: &text)
    case .array(let values):
      text += "["
      for (index, value) in values.enumerated() {
        if index > 0 { text += "," }
        value.append(to: &text)
      }
      text += "]"
    case .object(let members):
      text += "{"
      for (index, member) in members.enumerated() {
        if index > 0 { text += "," }
        Self.append(quoted: member.key, to: &text)
        text += ":"
        member.value.append(to: &text)
      }
      text += "}"
    }
  }

  private static func append(quoted string: String, to text: inout String) {
    text += "\""
    if string.utf8.allSatisfy(TextForm.isPlain) {
      text += string
      text += "\""
      return
    }
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}

// MARK: - Reading

extension JSONValue {
  /// - Throws: `GraphError` with code `syntax`, line and column, what was found and what was expected.
  init(parsing text: some StringProtocol) throws(GraphError) {
    var scanner = TextScanner(text)
    self = try scanner.jsonValue()
    scanner.skipJSONSpace()
    guard scanner.isAtEnd else { throw scanner.failure(expected: "the end of the text") }
  }
}

extension TextScanner {
  fileprivate mutating func skipJSONSpace() {
    while !isAtEnd, [0x20, 0x09, 0x0A, 0x0D].contains(current) { position += 1 }
  }

  fileprivate mutating func jsonValue() throws(GraphError) -> JSONValue {
    skipJSONSpace()
    switch current {
    case UInt8(ascii: "{"):
      position += 1
      var members: [JSONValue.Member] = []
      try list(until: "}") { scanner throws(GraphError) in
        scanner.skipJSONSpace()
        let key = try scanner.jsonString()
        try scanner.expect(":")
        members.append(.init(key, try scanner.jsonValue()))
      }
      return .object(members)
    case UInt8(ascii: "["):
      position += 1
      var values: [JSONValue] = []
      try list(until: "]") { scanner throws(GraphError) in values.append(try scanner.jsonValue()) }
      return .array(values)
    case UInt8(ascii: "\""): return .string(try jsonString())
    default: break
    }
    if takeWord("null") { return .null }
    if takeWord("true") { return .bool(true) }
    if takeWord("false") { return .bool(false) }
    switch try takeNumber() {
    case .int(let value): return .int(value)
    case .double(let value) where value.isFinite: return .double(value)
    default: throw failure(expected: "a value")
    }
  }

  private mutating func jsonString() throws(GraphError) -> String {
    let start = position
    guard current == UInt8(ascii: "\""), !isAtEnd else { throw failure(expected: "a string") }
    position += 1
    var content: [UInt8] = []
    while current != UInt8(ascii: "\"") || isAtEnd {
      guard !isAtEnd, current >= 0x20 else { throw failure("the string does not end", at: start) }
      if current == UInt8(ascii: "\\") {
        position += 1
        content += String(Character(try jsonEscape())).utf8
      } else {
        content.append(current)
        position += 1
      }
    }
    position += 1
    return String(decoding: content, as: UTF8.self)
  }

  private mutating func jsonEscape() throws(GraphError) -> Unicode.Scalar {
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
      let high = try jsonCodeUnit()
      if let scalar = Unicode.Scalar(high) { return scalar }
      // A pair of surrogates spells a scalar beyond 16 bits.
      if isNext("\\u") {
        position += 2
        let low = try jsonCodeUnit()
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

  private mutating func jsonCodeUnit() throws(GraphError) -> UInt32 {
    guard position + 4 <= bytes.count,
      let unit = UInt32(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16),
      bytes[position] != UInt8(ascii: "+"), bytes[position] != UInt8(ascii: "-")
    else { throw failure(expected: "four hexadecimal digits") }
    position += 4
    return unit
  }
}
