/// A JSON object in one line, its members in the order they were added.
struct JSONLine {
  private var members: [String] = []

  mutating func add(_ name: String, _ value: Int) { members.append("\"\(name)\": \(value)") }

  /// Numbers that JSON cannot hold, infinities and NaN, become null.
  mutating func add(_ name: String, _ value: Double) {
    members.append("\"\(name)\": \(value.isFinite ? "\(value)" : "null")")
  }

  /// - Precondition: `value` is plain: it has nothing that JSON would escape.
  mutating func add(_ name: String, _ value: String) { members.append("\"\(name)\": \"\(value)\"") }

  var text: String { "{" + members.joined(separator: ", ") + "}" }
}
