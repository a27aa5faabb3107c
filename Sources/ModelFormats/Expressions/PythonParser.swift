/// Reads the part of Python's expression grammar that sizes and guards are written in.
struct PythonParser {
  private let text: [UInt8]
  private var position = 0
  private var depth = 0

  /// The deepest nesting: far above what PyTorch writes, far below what a thread's stack holds.
  private static let maximumDepth = 100

  init(_ text: String) { self.text = Array(text.utf8) }

  mutating func whole() throws(PythonError) -> PythonExpression {
    let expression = try expression(minimum: 0)
    skipSpace()
    guard position == text.count else { throw failure("the end") }
    return expression
  }

  private func failure(_ expected: String) -> PythonError {
    let rest = String(decoding: text[min(position, text.count)...].prefix(20), as: UTF8.self)
    return PythonError("expected \(expected) before '\(rest)'")
  }

  // MARK: - Operators

  private typealias Binary = PythonExpression.BinaryOperator

  /// How tightly operators bind. Comparisons may be chained in Python; PyTorch does not write them so.
  private static func precedence(of operation: Binary) -> Int {
    switch operation {
    case .or: 1
    case .and: 2
    case .equal, .notEqual, .lessOrEqual, .greaterOrEqual, .less, .greater: 4
    case .bitOr: 5
    case .bitXor: 6
    case .bitAnd: 7
    case .leftShift, .rightShift: 8
    case .add, .subtract: 9
    case .multiply, .divide, .floorDivide, .modulo: 10
    case .power: 12
    }
  }

  /// Longer spellings come before those that they begin with.
  private static let operators = Binary.allCases.sorted { $0.rawValue.utf8.count > $1.rawValue.utf8.count }

  private mutating func expression(minimum: Int) throws(PythonError) -> PythonExpression {
    guard depth < Self.maximumDepth else { throw PythonError("nested more than \(Self.maximumDepth) deep") }
    depth += 1
    defer { depth -= 1 }
    var left: PythonExpression
    // A negated operand binds more tightly than all but powers, `not` more loosely than comparisons.
    if take("-") {
      left = .negation(try expression(minimum: 11))
    } else if takeWord("not") {
      left = .not(try expression(minimum: 3))
    } else {
      left = try postfix()
    }
    while let operation = peekOperator() {
      let precedence = Self.precedence(of: operation)
      guard precedence >= minimum else { break }
      position += operation.rawValue.utf8.count
      // Powers group to the right.
      left = .binary(left, operation, try expression(minimum: operation == .power ? precedence - 1 : precedence + 1))
    }
    return left
  }

  private mutating func peekOperator() -> Binary? {
    skipSpace()
    return Self.operators.first { operation in
      let spelling = Array(operation.rawValue.utf8)
      guard text[position...].starts(with: spelling) else { return false }
      let next = position + spelling.count
      return !Self.isLetter(spelling[0]) || next >= text.count || !Self.isWord(text[next])
    }
  }

  // MARK: - Operands

  private mutating func postfix() throws(PythonError) -> PythonExpression {
    var operand = try primary()
    while true {
      if take("(") {
        operand = .call(operand, try arguments())
      } else if take("[") {
        operand = .item(operand, try expression(minimum: 0))
        guard take("]") else { throw failure("']'") }
      } else if take(".") {
        guard let name = word() else { throw failure("a name") }
        operand = .attribute(operand, name)
      } else {
        return operand
      }
    }
  }

  private mutating func arguments() throws(PythonError) -> [PythonExpression] {
    var arguments: [PythonExpression] = []
    while !take(")") {
      let argument = try expression(minimum: 0)
      if case .name = argument, take("=") {
        _ = try expression(minimum: 0)
      } else {
        arguments.append(argument)
      }
      if take(",") { continue }
      guard take(")") else { throw failure("',' or ')'") }
      break
    }
    return arguments
  }

  private mutating func primary() throws(PythonError) -> PythonExpression {
    skipSpace()
    if take("(") {
      let inner = try expression(minimum: 0)
      guard take(")") else { throw failure("')'") }
      return inner
    }
    guard position < text.count else { throw failure("an operand") }
    switch text[position] {
    case UInt8(ascii: "'"), UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
    default:
      guard let name = word() else { throw failure("an operand") }
      switch name {
      case "True", "true": return .number(.bool(true))
      case "False", "false": return .number(.bool(false))
      default: return .name(name)
      }
    }
  }

  private mutating func string() throws(PythonError) -> String {
    let quote = text[position]
    guard let end = text[(position + 1)...].firstIndex(of: quote) else { throw failure("the end of a string") }
    defer { position = end + 1 }
    return String(decoding: text[(position + 1)..<end], as: UTF8.self)
  }

  private mutating func number() throws(PythonError) -> PythonNumber {
    let start = position
    while position < text.count {
      let isExponentSign =
        (text[position] == UInt8(ascii: "-") || text[position] == UInt8(ascii: "+"))
        && text[position - 1] | 0x20 == UInt8(ascii: "e") && position > start
      guard Self.isWord(text[position]) || text[position] == UInt8(ascii: ".") || isExponentSign else { break }
      position += 1
    }
    let spelling = String(decoding: text[start..<position], as: UTF8.self)
    if let value = Int(spelling) { return .int(value) }
    if let value = Double(spelling) { return .double(value) }
    position = start
    throw failure("a number")
  }

  // MARK: - Words

  private static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 || byte == UInt8(ascii: "_") }
  private static func isWord(_ byte: UInt8) -> Bool { isLetter(byte) || byte &- 0x30 < 10 }

  private mutating func skipSpace() {
    while position < text.count, text[position] == UInt8(ascii: " ") { position += 1 }
  }

  private mutating func take(_ mark: Unicode.Scalar) -> Bool {
    skipSpace()
    guard position < text.count, text[position] == UInt8(ascii: mark) else { return false }
    position += 1
    return true
  }

  private mutating func word() -> String? {
    skipSpace()
    guard position < text.count, Self.isLetter(text[position]) else { return nil }
    let start = position
    while position < text.count, Self.isWord(text[position]) { position += 1 }
    return String(decoding: text[start..<position], as: UTF8.self)
  }

  private mutating func takeWord(_ expected: String) -> Bool {
    let start = position
    if word() == expected { return true }
    position = start
    return false
  }
}
