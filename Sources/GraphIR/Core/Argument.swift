import TensorCore

/// An argument or result of an operator call: a number, a name, a reference, or a nesting of them.
///
/// What a reference is depends on where the call stands: a node in a graph (`GraphArgument`), a tensor when it runs
/// (`Value`), a tensor's metadata when only shapes matter (`MetaValue`), nothing at all in a schema's defaults (`Constant`).
public enum Argument<Reference> {
  case none
  case reference(Reference)
  case bool(Bool)
  case int(SymInt)
  case double(Double)
  case string(String)
  case dtype(DType)
  case device(Device)
  case memoryFormat(MemoryFormat)
  case list([Argument])
  case tuple([Argument])
  case dictionary([DictionaryEntry])

  /// One entry of a dictionary argument; entries keep their order.
  public struct DictionaryEntry {
    public var key: String
    public var value: Argument

    public init(key: String, value: Argument) {
      self.key = key
      self.value = value
    }
  }
}

public typealias GraphArgument = Argument<NodeID>
public typealias Value = Argument<Tensor>
public typealias MetaValue = Argument<TensorMeta>
public typealias Constant = Argument<Never>

extension Argument: Sendable where Reference: Sendable {}
extension Argument.DictionaryEntry: Sendable where Reference: Sendable {}
extension Argument.DictionaryEntry: Equatable where Reference: Equatable {}
extension Argument.DictionaryEntry: Hashable where Reference: Hashable {}

// Doubles compare by their bits: 0.0 and -0.0 are different arguments, and a NaN is the same argument as itself.
extension Argument: Equatable where Reference: Equatable {
  public static func == (a: Argument, b: Argument) -> Bool {
    switch (a, b) {
    case (.none, .none): true
    case (.reference(let x), .reference(let y)): x == y
    case (.bool(let x), .bool(let y)): x == y
    case (.int(let x), .int(let y)): x == y
    case (.double(let x), .double(let y)): x.bitPattern == y.bitPattern
    case (.string(let x), .string(let y)): x == y
    case (.dtype(let x), .dtype(let y)): x == y
    case (.device(let x), .device(let y)): x == y
    case (.memoryFormat(let x), .memoryFormat(let y)): x == y
    case (.list(let x), .list(let y)): x == y
    case (.tuple(let x), .tuple(let y)): x == y
    case (.dictionary(let x), .dictionary(let y)): x == y
    default: false
    }
  }
}

extension Argument: Hashable where Reference: Hashable {
  public func hash(into hasher: inout Hasher) {
    switch self {
    case .none: hasher.combine(0)
    case .reference(let x): hasher.combine(1); hasher.combine(x)
    case .bool(let x): hasher.combine(2); hasher.combine(x)
    case .int(let x): hasher.combine(3); hasher.combine(x)
    case .double(let x): hasher.combine(4); hasher.combine(x.bitPattern)
    case .string(let x): hasher.combine(5); hasher.combine(x)
    case .dtype(let x): hasher.combine(6); hasher.combine(x)
    case .device(let x): hasher.combine(7); hasher.combine(x)
    case .memoryFormat(let x): hasher.combine(8); hasher.combine(x)
    case .list(let x): hasher.combine(9); hasher.combine(x)
    case .tuple(let x): hasher.combine(10); hasher.combine(x)
    case .dictionary(let x): hasher.combine(11); hasher.combine(x)
    }
  }
}

extension Argument {
  /// The argument with each reference replaced, in order.
  @inlinable
  public func map<Other, Failure: Error>(
    _ transform: (Reference) throws(Failure) -> Argument<Other>
  ) throws(Failure) -> Argument<Other> {
    switch self {
    case .none: return .none
    case .reference(let reference): return try transform(reference)
    case .bool(let value): return .bool(value)
    case .int(let value): return .int(value)
    case .double(let value): return .double(value)
    case .string(let value): return .string(value)
    case .dtype(let value): return .dtype(value)
    case .device(let value): return .device(value)
    case .memoryFormat(let value): return .memoryFormat(value)
    case .list(let values): return .list(try Self.mapAll(values, transform))
    case .tuple(let values): return .tuple(try Self.mapAll(values, transform))
    case .dictionary(let entries):
      var result: [Argument<Other>.DictionaryEntry] = []
      for entry in entries { result.append(.init(key: entry.key, value: try entry.value.map(transform))) }
      return .dictionary(result)
    }
  }

  @usableFromInline
  static func mapAll<Other, Failure: Error>(
    _ values: [Argument], _ transform: (Reference) throws(Failure) -> Argument<Other>
  ) throws(Failure) -> [Argument<Other>] {
    var result: [Argument<Other>] = []
    result.reserveCapacity(values.count)
    for value in values { result.append(try value.map(transform)) }
    return result
  }

  /// Calls `body` with each reference, in order.
  @inlinable
  public func forEachReference(_ body: (Reference) throws -> Void) rethrows {
    switch self {
    case .reference(let reference): try body(reference)
    case .list(let values), .tuple(let values): for value in values { try value.forEachReference(body) }
    case .dictionary(let entries): for entry in entries { try entry.value.forEachReference(body) }
    default: break
    }
  }

  /// Whether some reference is such.
  @inlinable
  public func containsReference(where predicate: (Reference) -> Bool) -> Bool {
    switch self {
    case .reference(let reference): predicate(reference)
    case .list(let values), .tuple(let values): values.contains { $0.containsReference(where: predicate) }
    case .dictionary(let entries): entries.contains { $0.value.containsReference(where: predicate) }
    default: false
    }
  }

  /// The references, in order.
  public var references: [Reference] {
    var result: [Reference] = []
    forEachReference { result.append($0) }
    return result
  }

  /// The reference, if this argument is one.
  @inlinable public var reference: Reference? { if case .reference(let reference) = self { reference } else { nil } }

  /// The elements of a list or tuple; nil for anything else.
  public var elements: [Argument]? {
    switch self {
    case .list(let values), .tuple(let values): values
    default: nil
    }
  }

  public var isNone: Bool { if case .none = self { true } else { false } }

  /// The number, if this argument is one.
  public var scalar: Scalar? {
    switch self {
    case .bool(let value): .bool(value)
    case .int(let value): .int(value.value)
    case .double(let value): .double(value)
    default: nil
    }
  }

  public init(_ scalar: Scalar) {
    switch scalar {
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(SymInt(value))
    case .double(let value): self = .double(value)
    }
  }
}

extension Argument where Reference == Never {
  /// The constant as an argument of any kind.
  public func widened<Other>(to: Other.Type = Other.self) -> Argument<Other> {
    map { (never: Never) -> Argument<Other> in }
  }
}
