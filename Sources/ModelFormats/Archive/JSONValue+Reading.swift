import GraphIR

// Reading values of a type that they have to be of, with an error that says what they are instead.
extension JSONValue {
  /// A member that has to be there.
  func required(_ key: String) throws(ModelFormatError) -> JSONValue {
    guard case .object = self else { throw mismatch("the value around '\(key)'", "an object") }
    guard let value = self[key] else { throw ModelFormatError(.malformed, "'\(key)' is missing") }
    return value
  }

  /// A member; nil where it is missing or null.
  func optional(_ key: String) -> JSONValue? {
    if case .null? = self[key] { nil } else { self[key] }
  }

  func string(_ role: String) throws(ModelFormatError) -> String {
    guard case .string(let value) = self else { throw mismatch("'\(role)'", "a string") }
    return value
  }

  func bool(_ role: String) throws(ModelFormatError) -> Bool {
    guard case .bool(let value) = self else { throw mismatch("'\(role)'", "true or false") }
    return value
  }

  func int(_ role: String) throws(ModelFormatError) -> Int {
    guard case .int(let value) = self else { throw mismatch("'\(role)'", "an integer of 64 bits") }
    return value
  }

  /// A number; PyTorch writes those that JSON has no spelling for as strings.
  func double(_ role: String) throws(ModelFormatError) -> Double {
    switch self {
    case .double(let value): return value
    case .int(let value): return Double(value)
    case .string("Infinity"): return .infinity
    case .string("-Infinity"): return -.infinity
    case .string("NaN"): return .nan
    default: throw mismatch("'\(role)'", "a number")
    }
  }

  func array(_ role: String) throws(ModelFormatError) -> [JSONValue] {
    guard case .array(let values) = self else { throw mismatch("'\(role)'", "an array") }
    return values
  }

  /// The members of an object, of which no two may have one name.
  func members(_ role: String) throws(ModelFormatError) -> [(key: String, value: JSONValue)] {
    guard case .object(let members) = self else { throw mismatch("'\(role)'", "an object") }
    var names: Set<String> = []
    for member in members where !names.insert(member.key).inserted {
      throw ModelFormatError(.malformed, "'\(role)' holds '\(member.key)' twice")
    }
    return members.map { ($0.key, $0.value) }
  }

  /// A union, an object with exactly one member: its tag, and the value.
  func union(_ role: String) throws(ModelFormatError) -> (tag: String, value: JSONValue) {
    guard case .object(let members) = self, members.count == 1 else {
      throw mismatch("'\(role)'", "an object with one member")
    }
    return (members[0].key, members[0].value)
  }

  /// Each element of an array, read.
  func map<Element>(
    _ role: String, _ read: (JSONValue) throws(ModelFormatError) -> Element
  ) throws(ModelFormatError) -> [Element] {
    var elements: [Element] = []
    for value in try array(role) { elements.append(try read(value)) }
    return elements
  }

  private func mismatch(_ what: String, _ expected: String) -> ModelFormatError {
    ModelFormatError(.malformed, "\(what) is \(kind), not \(expected)")
  }
}
