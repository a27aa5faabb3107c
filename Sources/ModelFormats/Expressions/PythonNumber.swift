import Foundation

/// A number as Python has it: arithmetic on symbolic sizes is written in Python, and follows its rules.
enum PythonNumber: Sendable {
  case bool(Bool)
  case int(Int)
  case double(Double)

  var doubleValue: Double {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): Double(value)
    case .double(let value): value
    }
  }

  /// The integer, for an integer or boolean.
  var intValue: Int? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): value
    case .double: nil
    }
  }

  /// Whether Python takes it as true.
  var isTrue: Bool { doubleValue != 0 }
}

/// Why an expression has no value: a division by zero, a result beyond 64 bits, a type that does not fit.
struct PythonError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

// MARK: - Operators

extension PythonNumber {
  static func + (a: PythonNumber, b: PythonNumber) throws(PythonError) -> PythonNumber {
    try combined(a, b, "+", { $0.addingReportingOverflow($1) }, { $0 + $1 })
  }

  static func - (a: PythonNumber, b: PythonNumber) throws(PythonError) -> PythonNumber {
    try combined(a, b, "-", { $0.subtractingReportingOverflow($1) }, { $0 - $1 })
  }

  static func * (a: PythonNumber, b: PythonNumber) throws(PythonError) -> PythonNumber {
    try combined(a, b, "*", { $0.multipliedReportingOverflow(by: $1) }, { $0 * $1 })
  }

  private static func combined(
    _ a: PythonNumber, _ b: PythonNumber, _ symbol: String,
    _ integers: (Int, Int) -> (partialValue: Int, overflow: Bool), _ doubles: (Double, Double) -> Double
  ) throws(PythonError) -> PythonNumber {
    guard let x = a.intValue, let y = b.intValue else { return .double(doubles(a.doubleValue, b.doubleValue)) }
    let (value, overflow) = integers(x, y)
    if overflow { throw PythonError("\(x) \(symbol) \(y) does not fit into 64 bits") }
    return .int(value)
  }

  /// `a / b`, always a float.
  static func / (a: PythonNumber, b: PythonNumber) throws(PythonError) -> PythonNumber {
    guard b.doubleValue != 0 else { throw PythonError("\(a.doubleValue) is divided by zero") }
    return .double(a.doubleValue / b.doubleValue)
  }

  /// `a // b`, rounded toward negative infinity.
  func floorDivided(by b: PythonNumber) throws(PythonError) -> PythonNumber {
    guard b.doubleValue != 0 else { throw PythonError("\(doubleValue) is divided by zero") }
    guard let x = intValue, let y = b.intValue else { return .double((doubleValue / b.doubleValue).rounded(.down)) }
    let (quotient, overflow) = x.dividedReportingOverflow(by: y)
    if overflow { throw PythonError("\(x) // \(y) does not fit into 64 bits") }
    return .int(x % y != 0 && (x < 0) != (y < 0) ? quotient - 1 : quotient)
  }

  /// `a % b`, with the sign of `b`.
  func modulo(_ b: PythonNumber) throws(PythonError) -> PythonNumber {
    guard b.doubleValue != 0 else { throw PythonError("\(doubleValue) is divided by zero") }
    guard let x = intValue, let y = b.intValue else {
      let rest = doubleValue.truncatingRemainder(dividingBy: b.doubleValue)
      return .double(rest != 0 && (rest < 0) != (b.doubleValue < 0) ? rest + b.doubleValue : rest)
    }
    if y == -1 { return .int(0) }
    let rest = x % y
    return .int(rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest)
  }

  /// `a ** b`; an integer for integers unless `b` is negative.
  func raised(to b: PythonNumber) throws(PythonError) -> PythonNumber {
    guard let base = intValue, let exponent = b.intValue, exponent >= 0 else {
      return .double(pow(doubleValue, b.doubleValue))
    }
    // Beyond 64 steps only 0, 1 and -1 stay inside 64 bits.
    if exponent > 64, !(-1...1).contains(base) {
      throw PythonError("\(base) ** \(exponent) does not fit into 64 bits")
    }
    var result = PythonNumber.int(1)
    for _ in 0..<(exponent > 64 ? exponent % 2 + 2 : exponent) { result = try result * .int(base) }
    return result
  }

  static prefix func - (a: PythonNumber) throws(PythonError) -> PythonNumber { try .int(0) - a }

  static func == (a: PythonNumber, b: PythonNumber) -> Bool {
    if let x = a.intValue, let y = b.intValue { x == y } else { a.doubleValue == b.doubleValue }
  }

  static func < (a: PythonNumber, b: PythonNumber) -> Bool {
    if let x = a.intValue, let y = b.intValue { x < y } else { a.doubleValue < b.doubleValue }
  }

  /// A float as an integer, after rounding.
  func rounded(_ rule: FloatingPointRoundingRule) throws(PythonError) -> PythonNumber {
    if let value = intValue { return .int(value) }
    guard let value = Int(exactly: doubleValue.rounded(rule)) else {
      throw PythonError("\(doubleValue) is no integer of 64 bits")
    }
    return .int(value)
  }
}
