/// A JSON value; integers, floating-point numbers and bools stay apart.
enum JSON {
  case null
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
  case array([JSON])
  case object([String: JSON])

  subscript(key: String) -> JSON? { if case .object(let values) = self { values[key] } else { nil } }
  var array: [JSON]? { if case .array(let values) = self { values } else { nil } }
  var string: String? { if case .string(let value) = self { value } else { nil } }
  var int: Int? { if case .int(let value) = self { value } else { nil } }
  var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  var ints: [Int]? { array?.compactMap(\.int) }
  var double: Double? {
    switch self {
    case .int(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }
}

/// Reads one JSON text; throws on anything malformed.
struct JSONReader {
  struct Malformed: Error { let offset: Int }

  private let bytes: UnsafeRawBufferPointer
  private var position = 0

  static func read(_ bytes: some Sequence<UInt8>) throws -> JSON {
    try Array(bytes).withUnsafeBytes { bytes in
      var reader = JSONReader(bytes: bytes)
      let value = try reader.value()
      reader.skipSpace()
      guard reader.position == bytes.count else { throw Malformed(offset: reader.position) }
      return value
    }
  }

  private init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  private mutating func skipSpace() {
    while position < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[position]) { position += 1 }
  }

  private func peek() throws -> UInt8 {
    guard position < bytes.count else { throw Malformed(offset: position) }
    return bytes[position]
  }

  private mutating func expect(_ text: StaticString) throws {
    for i in 0..<text.utf8CodeUnitCount {
      guard try peek() == text.utf8Start[i] else { throw Malformed(offset: position) }
      position += 1
    }
  }

  private mutating func value() throws -> JSON {
    skipSpace()
    switch try peek() {
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "\""): return .string(try text())
    case UInt8(ascii: "t"):
      try expect("true")
      return .bool(true)
    case UInt8(ascii: "f"):
      try expect("false")
      return .bool(false)
    case UInt8(ascii: "n"):
      try expect("null")
      return .null
    default: return try number()
    }
  }

  private mutating func object() throws -> JSON {
    var result: [String: JSON] = [:]
    try expect("{")
    skipSpace()
    while try peek() != UInt8(ascii: "}") {
      let key = try text()
      skipSpace()
      try expect(":")
      result[key] = try value()
      skipSpace()
      if try peek() == UInt8(ascii: ",") { position += 1 }
      skipSpace()
    }
    position += 1
    return .object(result)
  }

  private mutating func array() throws -> JSON {
    var result: [JSON] = []
    try expect("[")
    skipSpace()
    while try peek() != UInt8(ascii: "]") {
      result.append(try value())
      skipSpace()
      if try peek() == UInt8(ascii: ",") { position += 1 }
      skipSpace()
    }
    position += 1
    return .array(result)
  }

  private mutating func text() throws -> String {
    try expect("\"")
    var result: [UInt8] = []
    while try peek() != UInt8(ascii: "\"") {
      if bytes[position] == UInt8(ascii: "\\") {
        position += 1
        switch try peek() {
        case UInt8(ascii: "n"): result.append(0x0A)
        case UInt8(ascii: "t"): result.append(0x09)
        case UInt8(ascii: "u"):
          guard position + 4 < bytes.count,
            let code = UInt32(String(decoding: bytes[position + 1...position + 4], as: UTF8.self), radix: 16)
          else { throw Malformed(offset: position) }
          result.append(contentsOf: String(Unicode.Scalar(code) ?? "?").utf8)
          position += 4
        default: result.append(bytes[position])
        }
      } else {
        result.append(bytes[position])
      }
      position += 1
    }
    position += 1
    return String(decoding: result, as: UTF8.self)
  }

  private mutating func number() throws -> JSON {
    let start = position
    while position < bytes.count, "+-.0123456789eE".utf8.contains(bytes[position]) { position += 1 }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if let value = Int(text) { return .int(value) }
    guard let value = Double(text) else { throw Malformed(offset: start) }
    return .double(value)
  }
}
