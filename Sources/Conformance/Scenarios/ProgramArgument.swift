import GraphIR
import TensorCore

/// What a tensor argument of a recorded program names.
struct ProgramReference: Decodable, Hashable, Sendable {
  /// Where the tensor is found.
  enum Space: String, CodingKey, Hashable, Sendable {
    case input = "in"
    case value = "v"
    case constant = "c"
    case leaf
    case output = "out"
    /// A value that an earlier program after the call returned.
    case posted = "p"
    /// An argument, saved tensor or incoming gradient of a custom function.
    case argument = "a"
    case saved = "s"
    case gradient = "g"
    /// The tensor that a hook gets.
    case hooked = "x"
  }

  let space: Space
  let index: Int

  init(_ space: Space, _ index: Int) {
    self.space = space
    self.index = index
  }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: Space.self)
    guard let space = object.allKeys.first else { throw FactsError("a reference to nothing known") }
    self.init(space, try object.decode(Int.self, forKey: space))
  }
}

/// An argument of a recorded call.
///
/// In JSON, a plain number is an integer; everything with a type of its own is an object of one key: `{"f": 0.5}` a
/// floating-point number, `{"str": "mean"}` a string, `{"v": 2}` a tensor.
struct ProgramArgument: Decodable, Sendable {
  let value: Argument<ProgramReference>

  private enum Key: String, CodingKey {
    case f, str, dtype, layout, device
    case memoryFormat = "memory_format"
  }

  init(from decoder: any Decoder) throws {
    if let object = try? decoder.container(keyedBy: Key.self) {
      value =
        if let key = object.allKeys.first {
          try Self.value(object, key)
        } else {
          .reference(try ProgramReference(from: decoder))
        }
      return
    }
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      value = .none
    } else if let bool = try? container.decode(Bool.self) {
      value = .bool(bool)
    } else if let int = try? container.decode(Int.self) {
      value = .int(SymInt(int))
    } else {
      value = .list(try container.decode([ProgramArgument].self).map(\.value))
    }
  }

  private static func value(
    _ object: KeyedDecodingContainer<Key>, _ key: Key
  ) throws -> Argument<ProgramReference> {
    switch key {
    case .f: .double(try object.decode(RecordedNumber.self, forKey: key).value)
    case .str, .layout: .string(try object.decode(String.self, forKey: key))
    case .dtype: .dtype(try object.namedDType(key))
    case .device: .device(try object.named(key) { Device($0) })
    case .memoryFormat: .memoryFormat(try object.named(key) { MemoryFormat(recordedName: $0) })
    }
  }
}

extension KeyedDecodingContainer {
  /// An element type by its long name, such as `float32`.
  func namedDType(_ key: Key) throws -> DType {
    try named(key) { name in DType.allCases.first { $0.description == name } }
  }
}
