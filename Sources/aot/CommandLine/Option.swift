/// A named choice of a command, such as `--epochs 20`, or a flag, such as `--json`.
struct Option<Value: Sendable>: Sendable {
  let name: String
  let kind: ValueKind<Value>
  let defaultValue: Value
  let help: String

  init(_ name: String, _ kind: ValueKind<Value>, default defaultValue: Value, _ help: String) {
    self.name = name
    self.kind = kind
    self.defaultValue = defaultValue
    self.help = help
  }
}

extension Option where Value == Bool {
  /// An option that is given or not and takes no value.
  static func flag(_ name: String, _ help: String) -> Option {
    Option(name, ValueKind(placeholder: nil, parse: { _ in true }, describe: { _ in nil }), default: false, help)
  }
}

/// A value that is told by its place, such as the FILE in `aot show FILE`. All are required.
struct Operand<Value: Sendable>: Sendable {
  let kind: ValueKind<Value>
  let help: String

  init(_ kind: ValueKind<Value>, _ help: String) {
    self.kind = kind
    self.help = help
  }
}

/// What an option's or operand's value may be, and how it is read.
struct ValueKind<Value: Sendable>: Sendable {
  /// Stands for the value in help; nil for a flag, which takes none.
  let placeholder: String?
  let parse: @Sendable (String) throws(InvalidValue) -> Value
  /// How help shows a default; nil where there is nothing to show.
  var describe: @Sendable (Value) -> String? = { "\($0)" }
}

/// Why a value was refused: what would have been right, as in "must be a number above 0".
struct InvalidValue: Error {
  var requirement: String
  var suggestion: String?
}

extension ValueKind where Value == Int {
  static func integer(_ placeholder: String = "N", atLeast minimum: Int = 1) -> ValueKind {
    ValueKind(placeholder: placeholder) { text throws(InvalidValue) in
      guard let value = Int(text), value >= minimum else {
        throw InvalidValue(requirement: "must be an integer of at least \(minimum)")
      }
      return value
    }
  }
}

extension ValueKind where Value == Double {
  /// A finite number in a range.
  static func number(_ placeholder: String, in range: ClosedRange<Double>) -> ValueKind {
    ValueKind(placeholder: placeholder) { text throws(InvalidValue) in
      guard let value = Double(text), range.contains(value) else {
        throw InvalidValue(requirement: "must be a number from \(range.lowerBound) to \(range.upperBound)")
      }
      return value
    }
  }
}

extension ValueKind where Value == String {
  static func text(_ placeholder: String) -> ValueKind { ValueKind(placeholder: placeholder) { $0 } }
}

extension ValueKind where Value == String? {
  static func optionalText(_ placeholder: String) -> ValueKind {
    ValueKind(placeholder: placeholder, parse: { $0 }, describe: { $0 })
  }
}

extension ValueKind where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
  /// One of an enumeration's names.
  static var choice: ValueKind {
    let names = Value.allCases.map(\.rawValue)
    return ValueKind(
      placeholder: names.joined(separator: "|"),
      parse: { text throws(InvalidValue) in
        if let value = Value(rawValue: text) { return value }
        throw InvalidValue(
          requirement: "must be one of \(names.joined(separator: ", "))",
          suggestion: Spelling.nearest(to: text, in: names))
      },
      describe: { $0.rawValue })
  }
}
