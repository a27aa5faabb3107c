import TensorCore

extension OperatorSchema {
  /// Reads a schema in PyTorch's language; without a namespace it is `aten`'s.
  ///
  /// Defaults may be spelled as in `native_functions.yaml` (`1e-05`, `Mean`, `contiguous_format`, `long`) or as PyTorch prints
  /// them back (`1.0000000000000001e-05`, `1`, `0`, `4`).
  ///
  /// - Throws: `GraphError` with code `syntax`, the column, what was found and what was expected.
  public init(parsing text: String) throws(GraphError) {
    var parser = SchemaParser(scanner: TextScanner(text))
    do {
      self = try parser.schema()
    } catch {
      throw GraphError(.syntax, "schema '\(text)': \(error.message)")
    }
  }
}

private struct SchemaParser {
  var scanner: TextScanner

  mutating func schema() throws(GraphError) -> OperatorSchema {
    let name = try operatorName()
    var parameters: [OperatorSchema.Parameter] = []
    var isKeywordOnly = false
    var names: Set<String> = []
    try scanner.expect("(")
    if !scanner.take(")") {
      repeat {
        let start = scanner.position
        if scanner.take("*") {
          if isKeywordOnly { throw scanner.failure("a second '*'", at: start) }
          isKeywordOnly = true
          continue
        }
        let parameter = try parameter(isKeywordOnly: isKeywordOnly)
        guard names.insert(parameter.name).inserted else {
          throw scanner.failure("two parameters are named '\(parameter.name)'", at: start)
        }
        parameters.append(parameter)
      } while scanner.take(",")
      guard scanner.take(")") else { throw scanner.failure(expected: "',' or ')'") }
    }
    try scanner.expect("->")
    let returns = try returns()
    scanner.skipSpace()
    guard scanner.isAtEnd else { throw scanner.failure(expected: "the end of the schema") }
    return OperatorSchema(name: name, parameters: parameters, returns: returns)
  }

  private mutating func operatorName() throws(GraphError) -> OperatorName {
    var namespace = "aten"
    var base = try scanner.identifier("an operator's name")
    if scanner.take("::") {
      namespace = base
      base = try scanner.identifier("an operator's name")
    }
    let overload = scanner.take(".") ? try scanner.identifier("an overload's name") : "default"
    return OperatorName(namespace, base, overload)
  }

  private mutating func parameter(isKeywordOnly: Bool) throws(GraphError) -> OperatorSchema.Parameter {
    let (type, alias) = try annotatedType()
    let name = try scanner.identifier("a parameter's name")
    let defaultValue = scanner.take("=") ? try constant(of: type) : nil
    return .init(name, type, alias: alias, defaultValue: defaultValue, isKeywordOnly: isKeywordOnly)
  }

  private mutating func returns() throws(GraphError) -> [OperatorSchema.Return] {
    guard scanner.take("(") else { return [try returned()] }
    var returns: [OperatorSchema.Return] = []
    if scanner.take(")") { return returns }
    repeat { returns.append(try returned()) } while scanner.take(",")
    guard scanner.take(")") else { throw scanner.failure(expected: "',' or ')'") }
    return returns
  }

  private mutating func returned() throws(GraphError) -> OperatorSchema.Return {
    let (type, alias) = try annotatedType()
    return .init(type, name: scanner.takeIdentifier(), alias: alias)
  }
}

// MARK: - Types

extension SchemaParser {
  private mutating func annotatedType() throws(GraphError) -> (SchemaType, AliasAnnotation?) {
    scanner.skipSpace()
    let start = scanner.position
    let word = try scanner.identifier("a type")
    guard var type = SchemaType(word: word) else {
      throw scanner.failure("'\(word)' is not a type of the schema language", at: start)
    }
    let alias = scanner.take("(") ? try aliasAnnotation() : nil
    var suffixes = 0
    while true {
      if scanner.take("?") {
        type = .optional(type)
      } else if scanner.take("[") {
        scanner.skipSpace()
        let place = scanner.position
        let count = try scanner.takeNumber()
        switch count {
        case nil: type = .list(type, count: nil)
        case .int(let count) where count >= 0: type = .list(type, count: count)
        default: throw scanner.failure("the length of a list is a count", at: place)
        }
        try scanner.expect("]")
      } else {
        return (type, alias)
      }
      suffixes += 1
      if suffixes > TextScanner.maximumDepth { throw scanner.failure("the type is nested too deep", at: start) }
    }
  }

  /// What stands between `(` and `)`: `a`, `a!`, `a|b`, `a -> *`.
  private mutating func aliasAnnotation() throws(GraphError) -> AliasAnnotation {
    let sets = try aliasSets()
    let isWrite = scanner.take("!")
    let after = scanner.take("->") ? try aliasSets() : nil
    try scanner.expect(")")
    return AliasAnnotation(sets, isWrite: isWrite, setsAfter: after)
  }

  private mutating func aliasSets() throws(GraphError) -> [String] {
    var sets: [String] = []
    repeat {
      sets.append(scanner.take("*") ? "*" : try scanner.identifier("the name of an alias set or '*'"))
    } while scanner.take("|")
    return sets
  }
}

// MARK: - Defaults

extension SchemaParser {
  private mutating func constant(of type: SchemaType) throws(GraphError) -> Constant {
    scanner.skipSpace()
    let start = scanner.position
    switch type {
    case .optional(let wrapped): return scanner.takeWord("None") ? .none : try constant(of: wrapped)
    case .list(let element, let count): return try listConstant(of: element, count: count)
    default: break
    }
    if let number = try scanner.takeNumber() {
      switch number {
      case .int(let value):
        guard SymInt.concreteRange.contains(value) else {
          throw scanner.failure("the integer \(value) is out of range", at: start)
        }
        return try constant(.int(SymInt(value)), of: type, at: start)
      case .double(let value): return try constant(.double(value), of: type, at: start)
      }
    }
    if let string = try scanner.takeString() { return try constant(.string(string), of: type, at: start) }
    let word = try scanner.identifier("a default value")
    let value: Constant? =
      switch (word, type) {
      case ("None", _): Constant.none
      case ("True", _): .bool(true)
      case ("False", _): .bool(false)
      case ("Mean", .int): .int(1)
      case ("Sum", .int): .int(2)
      case (_, .dtype): DType(schemaName: word).map { .dtype($0) }
      case (_, .memoryFormat): MemoryFormat(schemaName: word).map { .memoryFormat($0) }
      case (_, .device), (_, .layout): .string(word)
      default: nil
      }
    guard let value else { throw scanner.failure("'\(word)' is not a default of type \(type)", at: start) }
    return try constant(value, of: type, at: start)
  }

  private mutating func listConstant(of element: SchemaType, count: Int?) throws(GraphError) -> Constant {
    if scanner.take("[") {
      var values: [Constant] = []
      if scanner.take("]") { return .list(values) }
      repeat { values.append(try constant(of: element)) } while scanner.take(",")
      try scanner.expect("]")
      return .list(values)
    }
    guard count != nil else { throw scanner.failure(expected: "'['") }
    let start = scanner.position
    return try constant(try constant(of: element), of: .list(element, count: count), at: start)
  }

  /// A spelled value as a default of a type, or an error if it is none.
  private func constant(_ value: Constant, of type: SchemaType, at start: Int) throws(GraphError) -> Constant {
    guard let fitting = type.accepting(value) else {
      throw scanner.failure("\(value.spelledForMessages) is not a default of type \(type)", at: start)
    }
    return fitting
  }
}
