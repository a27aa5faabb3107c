import Foundation
import GraphIR
import TensorCore

/// A recorded argument or result that is no tensor of its own: a number, a string, a reference to an input, a list.
///
/// In JSON, a plain number is an integer; everything with a type of its own is an object of one key: `{"f": 0.5}` a
/// floating-point number (`"inf"`, `"-inf"` and `"nan"` among them), `{"s": "mean"}` a string, `{"t": 2}` an input.
enum RecordedValue: Decodable, Hashable, Sendable {
  case none
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
  case input(Int)
  case dtype(DType)
  case memoryFormat(MemoryFormat)
  case device(Device)
  case list([RecordedValue])

  private enum Key: String, CodingKey {
    case f, s, t, dtype, layout, device
    case memoryFormat = "memory_format"
  }

  init(from decoder: any Decoder) throws {
    if let object = try? decoder.container(keyedBy: Key.self) {
      self = try Self(object)
      return
    }
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .none
    } else if let bool = try? value.decode(Bool.self) {
      self = .bool(bool)
    } else if let int = try? value.decode(Int.self) {
      self = .int(int)
    } else {
      self = .list(try value.decode([RecordedValue].self))
    }
  }

  private init(_ object: KeyedDecodingContainer<Key>) throws {
    guard let key = object.allKeys.first else {
      throw FactsError("an object that is no argument of a known kind")
    }
    switch key {
    case .f: self = .double(try object.decode(RecordedNumber.self, forKey: key).value)
    case .t: self = .input(try object.decode(Int.self, forKey: key))
    case .s, .layout: self = .string(try object.decode(String.self, forKey: key))
    case .dtype: self = .dtype(try object.named(key) { DType(abbreviation: $0) })
    case .device: self = .device(try object.named(key) { Device($0) })
    case .memoryFormat:
      self = .memoryFormat(try object.named(key) { MemoryFormat(recordedName: $0) })
    }
  }

  /// The argument, its inputs taken from a list.
  func value(_ inputs: [Tensor]) throws -> Value {
    switch self {
    case .none: return .none
    case .bool(let value): return .bool(value)
    case .int(let value): return .int(SymInt(value))
    case .double(let value): return .double(value)
    case .string(let value): return .string(value)
    case .dtype(let value): return .dtype(value)
    case .memoryFormat(let value): return .memoryFormat(value)
    case .device(let value): return .device(value)
    case .list(let values): return .list(try values.map { try $0.value(inputs) })
    case .input(let index):
      guard inputs.indices.contains(index) else { throw FactsError("there is no input \(index)") }
      return .reference(inputs[index])
    }
  }

  /// Whether a result that is no tensor is the recorded one, numbers to single precision.
  func matches(_ result: Value) -> Bool {
    if self == .none { return result.isNone }
    guard let a = result.scalar, let b = try? value([]).scalar else { return false }
    if a.doubleValue.isNaN { return b.doubleValue.isNaN }
    return a.doubleValue == b.doubleValue || abs(a.doubleValue - b.doubleValue) <= 1e-6 * abs(b.doubleValue)
  }
}

extension MemoryFormat {
  /// The format of that name in PyTorch.
  init?(recordedName name: String) { self.init(rawValue: name.replacingOccurrences(of: "_format", with: "")) }
}

/// A floating-point number, of which JSON has only the finite ones.
struct RecordedNumber: Decodable {
  let value: Double

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let value = try? container.decode(Double.self) {
      self.value = value
    } else {
      let text = try container.decode(String.self)
      guard let value = Double(text) else { throw FactsError("'\(text)' is no number") }
      self.value = value
    }
  }
}

extension KeyedDecodingContainer {
  func named<Value>(_ key: Key, _ find: (String) -> Value?) throws -> Value {
    let name = try decode(String.self, forKey: key)
    guard let value = find(name) else { throw FactsError("unknown \(key.stringValue) '\(name)'") }
    return value
  }
}

extension KeyedDecodingContainer {
  func dtype(_ key: Key) throws -> DType { try named(key) { DType(abbreviation: $0) } }
}
