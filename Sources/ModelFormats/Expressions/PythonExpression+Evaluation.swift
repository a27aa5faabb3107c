extension PythonExpression {
  /// What an expression stands for: a number, a part of the arguments, or something of a tensor.
  enum Result {
    case number(PythonNumber)
    case sizes([Int])
    case value(any PythonValue)
    case method(any PythonValue, String)
  }

  /// The value of an expression over symbols alone.
  func number(_ symbols: [String: Int]) throws(PythonError) -> PythonNumber {
    try number { name throws(PythonError) in
      guard let value = symbols[name] else { throw PythonError("the value of '\(name)' is not known") }
      return .number(.int(value))
    }
  }

  /// The value of an expression that is a number, with names looked up.
  func number(_ lookup: (String) throws(PythonError) -> Result) throws(PythonError) -> PythonNumber {
    guard case .number(let number) = try evaluated(lookup) else {
      throw PythonError("an expression stands for more than a number")
    }
    return number
  }

  private func evaluated(_ lookup: (String) throws(PythonError) -> Result) throws(PythonError) -> Result {
    switch self {
    case .number(let number): return .number(number)
    case .string: throw PythonError("a string has no value here")
    case .name(let name): return try lookup(name)
    case .attribute(let operand, let name):
      guard case .value(let value) = try operand.evaluated(lookup) else {
        throw PythonError("there is no '\(name)' of a number")
      }
      return .method(value, name)
    case .item(let operand, let index): return try Self.item(of: operand.evaluated(lookup), index, lookup)
    case .call(let function, let arguments): return try Self.called(function, arguments, lookup)
    case .negation(let operand): return .number(try -operand.number(lookup))
    case .not(let operand): return .number(.bool(!(try operand.number(lookup).isTrue)))
    case .binary(let a, .or, let b):
      let left = try a.number(lookup)
      return .number(left.isTrue ? left : try b.number(lookup))
    case .binary(let a, .and, let b):
      let left = try a.number(lookup)
      return .number(left.isTrue ? try b.number(lookup) : left)
    case .binary(let a, let operation, let b):
      guard let name = Self.functionNames[operation] else { throw PythonError("'\(operation.rawValue)' is not known") }
      return .number(try PythonFunctions.call(name, [a.number(lookup), b.number(lookup)]))
    }
  }

  private static let functionNames: [BinaryOperator: String] = [
    .equal: "eq", .notEqual: "ne", .lessOrEqual: "le", .greaterOrEqual: "ge", .less: "lt", .greater: "gt",
    .bitOr: "or_", .bitAnd: "and_", .leftShift: "lshift", .rightShift: "rshift", .add: "add", .subtract: "sub",
    .floorDivide: "floordiv", .multiply: "mul", .divide: "truediv", .modulo: "mod", .power: "pow",
  ]

  private static func item(
    of operand: Result, _ index: PythonExpression, _ lookup: (String) throws(PythonError) -> Result
  ) throws(PythonError) -> Result {
    switch (operand, index) {
    case (.value(let value), .string(let key)):
      if let part = value.part(key) { return part }
      throw PythonError("there is no '\(key)'")
    case (.value(let value), _):
      if let position = try index.number(lookup).intValue, let part = value.part(position) { return part }
    case (.sizes(let sizes), _):
      if let position = try index.number(lookup).intValue, sizes.indices.contains(position) {
        return .number(.int(sizes[position]))
      }
    default: break
    }
    throw PythonError("an index is outside of what it picks from")
  }

  private static func called(
    _ function: PythonExpression, _ arguments: [PythonExpression], _ lookup: (String) throws(PythonError) -> Result
  ) throws(PythonError) -> Result {
    switch function {
    case .name("Symbol"):
      guard case .string(let name)? = arguments.first else { throw PythonError("a symbol has no name") }
      return try lookup(name)
    case .name("Float"):
      guard case .string(let digits)? = arguments.first, let value = Double(digits) else {
        throw PythonError("a float has no digits")
      }
      return .number(.double(value))
    // `torch.sym_max`, `math.floor`
    case .name(let name), .attribute(.name, let name):
      var numbers: [PythonNumber] = []
      for argument in arguments { numbers.append(try argument.number(lookup)) }
      return .number(try PythonFunctions.call(name, numbers))
    default: break
    }
    guard case .method(let value, let name) = try function.evaluated(lookup), let sizes = value.sizes(name) else {
      throw PythonError("something is called that is not known")
    }
    guard let dimension = arguments.first else { return sizes }
    return try item(of: sizes, dimension, lookup)
  }
}

/// An argument, or a part of one, as guards see it.
protocol PythonValue {
  /// The element of a dictionary.
  func part(_ key: String) -> PythonExpression.Result?
  /// The element of a list or tuple.
  func part(_ position: Int) -> PythonExpression.Result?
  /// `size()`, `stride()`, `storage_offset()` and `dim()` of a tensor.
  func sizes(_ method: String) -> PythonExpression.Result?
}
