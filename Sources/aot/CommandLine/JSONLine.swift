/// A JSON object in one line, its members in the order they were added.
struct JSONLine {
  private var members: [String] = []

  mutating func add(_ name: String, _ value: Int) { members.append("\"\(name)\": \(value)") }

  /// Numbers that JSON cannot hold, infinities and NaN, become null.
  mutating func add(_ name: String, _ value: Double) {
    members.append("\"\(name)\": \(value.isFinite ? "\(value)" : "null")")
  }

  /// - Precondition: `value` has no control characters.
  mutating func add(_ name: String, _ value: String) { members.append("\"\(name)\": \(Self.quoted(value))") }

  mutating func add(_ name: String, _ values: [String]) {
    members.append("\"\(name)\": [\(values.map(Self.quoted).joined(separator: ", "))]")
  }

  private static func quoted(_ value: String) -> String {
    "\"" + value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }

  var text: String { "{" + members.joined(separator: ", ") + "}" }
}
