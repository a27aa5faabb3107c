/// The values that the arguments of a command gave its options and operands.
struct ParsedArguments: Sendable {
  private var values: [String: any Sendable] = [:]

  mutating func set(_ name: String, _ value: any Sendable) { values[name] = value }

  func has(_ name: String) -> Bool { values[name] != nil }

  /// The value given, or the option's default.
  subscript<Value>(option: Option<Value>) -> Value { values["--" + option.name] as? Value ?? option.defaultValue }

  /// - Precondition: The operand is one of the command's: parsing has then found a value for it.
  subscript<Value>(operand: Operand<Value>) -> Value {
    guard let value = values[operand.name] as? Value else {
      preconditionFailure("\(operand.name) is no operand of this command")
    }
    return value
  }
}
