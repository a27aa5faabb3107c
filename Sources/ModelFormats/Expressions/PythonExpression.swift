/// An expression over sizes as PyTorch writes it: as Python code in guards and ranges (`L['x'].size()[0] == 2*s39`), and as nested
/// calls in sizes (`Mul(Integer(2), Symbol('s39', positive=True, integer=True))`).
indirect enum PythonExpression: Sendable {
  case number(PythonNumber)
  case string(String)
  case name(String)
  case attribute(PythonExpression, String)
  case item(PythonExpression, PythonExpression)
  /// Arguments by keyword say nothing here, and are left out.
  case call(PythonExpression, [PythonExpression])
  case negation(PythonExpression)
  case not(PythonExpression)
  case binary(PythonExpression, BinaryOperator, PythonExpression)

  enum BinaryOperator: String, CaseIterable, Hashable, Sendable {
    case or, and
    case equal = "=="
    case notEqual = "!="
    case lessOrEqual = "<="
    case greaterOrEqual = ">="
    case less = "<"
    case greater = ">"
    case bitOr = "|"
    case bitXor = "^"
    case bitAnd = "&"
    case leftShift = "<<"
    case rightShift = ">>"
    case add = "+"
    case subtract = "-"
    case floorDivide = "//"
    case multiply = "*"
    case divide = "/"
    case modulo = "%"
    case power = "**"
  }

  /// - Throws: `PythonError` where the text is no expression that this package knows.
  init(parsing text: String) throws(PythonError) {
    var parser = PythonParser(text)
    self = try parser.whole()
  }

  /// The names of symbols in it: bare names, and what `Symbol('s0')` names.
  var symbols: Set<String> {
    switch self {
    case .number, .string: []
    case .name(let name): [name]
    case .call(.name("Symbol"), let arguments):
      if case .string(let name)? = arguments.first { [name] } else { [] }
    // The name of what is called is no symbol.
    case .call(.name, let arguments): Set(arguments.flatMap(\.symbols))
    case .call(let function, let arguments): function.symbols.union(arguments.flatMap(\.symbols))
    case .attribute(let operand, _), .negation(let operand), .not(let operand): operand.symbols
    case .item(let a, let b), .binary(let a, _, let b): a.symbols.union(b.symbols)
    }
  }
}
