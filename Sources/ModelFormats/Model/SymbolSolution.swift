/// Finds the values of symbols from the sizes that expressions over them have to have.
struct SymbolSolution {
  private(set) var values: [String: Int] = [:]
  /// Expressions that had symbols without a value when they came up.
  private var pending: [(expression: PythonExpression, text: String, size: Int, place: String)] = []

  /// Takes note of what a size is.
  ///
  /// - Throws: `ModelFormatError` where it is not what it has to be.
  mutating func require(_ wanted: ProgramSize, _ size: Int, _ place: String) throws(ModelFormatError) {
    switch wanted {
    case .known(let number):
      guard number == size else {
        throw ModelFormatError(.invalidArgument, "\(place) is \(size); the program was exported for \(number)")
      }
    case .expression(let expression, let text, _):
      if case .call(.name("Symbol"), _) = expression, let name = expression.symbols.first, values[name] == nil {
        values[name] = size
      } else {
        pending.append((expression, text, size, place))
      }
    }
  }

  /// Solves what is left for the symbols in it, and checks that all agree.
  mutating func solve() throws(ModelFormatError) {
    var count = pending.count + 1
    while pending.count < count, !pending.isEmpty {
      count = pending.count
      let open = pending
      pending = []
      for equation in open {
        let unknown = equation.expression.symbols.filter { values[$0] == nil }
        if let name = unknown.first, unknown.count == 1 {
          if let solution = solution(of: equation.expression, for: name, equals: equation.size) {
            values[name] = solution
          }
        } else if !unknown.isEmpty {
          pending.append(equation)
          continue
        }
        try check(equation)
      }
    }
  }

  private func check(
    _ equation: (expression: PythonExpression, text: String, size: Int, place: String)
  ) throws(ModelFormatError) {
    guard let found = try? equation.expression.number(values) else {
      throw ModelFormatError(
        .invalidArgument, "\(equation.place) is \(equation.size), which '\(equation.text)' cannot be")
    }
    guard found == .int(equation.size) else {
      throw ModelFormatError(
        .invalidArgument, "\(equation.place) is \(equation.size), but '\(equation.text)' is \(found.doubleValue)")
    }
  }

  /// The value of one symbol. Sizes grow with their symbols, so a search finds it.
  private func solution(of expression: PythonExpression, for name: String, equals size: Int) -> Int? {
    var (low, high) = (0, min(max(1, size), Int.max / 4) * 2 + 1024)
    while low < high {
      let middle = low + (high - low) / 2
      guard let found = value(of: expression, name, middle) else { return nil }
      if found < Double(size) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private func value(of expression: PythonExpression, _ name: String, _ value: Int) -> Double? {
    var symbols = values
    symbols[name] = value
    return try? expression.number(symbols).doubleValue
  }
}
