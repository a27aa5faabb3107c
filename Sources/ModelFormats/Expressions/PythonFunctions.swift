import Foundation

/// The functions and operators that symbolic sizes are computed with, under the names that Python and sympy have for them.
enum PythonFunctions {
  /// - Throws: `PythonError` where there is no such function, or none of that many arguments.
  static func call(_ name: String, _ arguments: [PythonNumber]) throws(PythonError) -> PythonNumber {
    switch (name, arguments.count) {
    case (_, 1): return try call(name, arguments[0])
    case (_, 2): return try call(name, arguments[0], arguments[1])
    case ("sym_ite", 3), ("Where", 3): return arguments[0].isTrue ? arguments[1] : arguments[2]
    case ("ModularIndexing", 3): return try arguments[0].floorDivided(by: arguments[1]).modulo(arguments[2])
    default: return try fold(name, arguments)
    }
  }

  private static func call(_ name: String, _ a: PythonNumber) throws(PythonError) -> PythonNumber {
    switch name {
    case "neg": return try -a
    case "pos", "Integer", "Identity", "int_oo", "Float", "Add", "Mul", "Max", "Min", "max", "min": return a
    case "abs", "Abs": return a < .int(0) ? try -a : a
    case "not", "sym_not", "Not", "not_": return .bool(!a.isTrue)
    case "sym_int", "int", "trunc", "TruncToInt": return try a.rounded(.towardZero)
    case "floor", "FloorToInt": return try a.rounded(.down)
    case "ceil", "ceiling", "CeilToInt": return try a.rounded(.up)
    case "round", "RoundToInt": return try a.rounded(.toNearestOrEven)
    case "sym_float", "float", "ToFloat": return .double(a.doubleValue)
    case "TruncToFloat": return .double(a.doubleValue.rounded(.towardZero))
    case "bool", "sym_bool": return .bool(a.isTrue)
    default:
      guard let function = elementary[name.hasPrefix(opaque) ? String(name.dropFirst(opaque.count)) : name] else {
        throw PythonError("there is no function '\(name)' of one number")
      }
      return .double(function(a.doubleValue))
    }
  }

  /// What sympy's names of functions that it is to leave alone begin with.
  private static let opaque = "OpaqueUnaryFn_"

  private static let elementary: [String: @Sendable (Double) -> Double] = [
    "sym_sqrt": { $0.squareRoot() }, "_sym_sqrt": { $0.squareRoot() }, "sqrt": { $0.squareRoot() },
    "exp": { Foundation.exp($0) }, "log": { Foundation.log($0) }, "log2": { Foundation.log2($0) },
    "sin": { Foundation.sin($0) }, "cos": { Foundation.cos($0) }, "tan": { Foundation.tan($0) },
    "tanh": { Foundation.tanh($0) }, "sinh": { Foundation.sinh($0) }, "cosh": { Foundation.cosh($0) },
    "asin": { Foundation.asin($0) }, "acos": { Foundation.acos($0) }, "atan": { Foundation.atan($0) },
  ]

  private static func call(_ name: String, _ a: PythonNumber, _ b: PythonNumber) throws(PythonError) -> PythonNumber {
    switch name {
    case "add", "Add": return try a + b
    case "sub": return try a - b
    case "mul", "Mul": return try a * b
    case "truediv", "IntTrueDiv", "FloatTrueDiv", "Rational": return try a / b
    case "floordiv", "FloorDiv", "CleanDiv": return try a.floorDivided(by: b)
    case "CeilDiv": return try -(try (-a).floorDivided(by: b))
    case "mod", "Mod", "PythonMod": return try a.modulo(b)
    case "pow", "Pow", "PowByNatural", "FloatPow": return try a.raised(to: b)
    case "eq", "Eq", "Equality": return .bool(a == b)
    case "ne", "Ne", "Unequality": return .bool(!(a == b))
    case "lt", "Lt", "StrictLessThan": return .bool(a < b)
    case "gt", "Gt", "StrictGreaterThan": return .bool(b < a)
    case "le", "Le", "LessThan": return .bool(a < b || a == b)
    case "ge", "Ge", "GreaterThan": return .bool(b < a || a == b)
    case "max", "sym_max", "Max": return a < b ? b : a
    case "min", "sym_min", "Min": return b < a ? b : a
    case "and_", "And": return try bits(a, b, and: true)
    case "or_", "Or": return try bits(a, b, and: false)
    case "lshift", "LShift": return try a * (try .int(2).raised(to: b))
    case "rshift", "RShift": return try a.floorDivided(by: try .int(2).raised(to: b))
    case "RoundDecimal", "round":
      let scale = pow(10, b.doubleValue)
      return .double((a.doubleValue * scale).rounded(.toNearestOrEven) / scale)
    default: throw PythonError("there is no function '\(name)' of two numbers")
    }
  }

  /// `&` and `|`: of truths a truth, of integers bit by bit.
  private static func bits(_ a: PythonNumber, _ b: PythonNumber, and: Bool) throws(PythonError) -> PythonNumber {
    if case .bool(let x) = a, case .bool(let y) = b { return .bool(and ? x && y : x || y) }
    guard let x = a.intValue, let y = b.intValue else { throw PythonError("floats have no bits to combine") }
    return .int(and ? x & y : x | y)
  }

  /// Sums, products and the like of any number of operands.
  private static func fold(_ name: String, _ arguments: [PythonNumber]) throws(PythonError) -> PythonNumber {
    guard let first = arguments.first, ["Add", "Mul", "Max", "Min", "max", "min", "And", "Or"].contains(name) else {
      throw PythonError("there is no function '\(name)' of \(arguments.count) numbers")
    }
    var result = first
    for argument in arguments.dropFirst() { result = try call(name, result, argument) }
    return result
  }
}
