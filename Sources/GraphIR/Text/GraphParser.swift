import TensorCore

extension Graph {
  /// Reads the text form of a graph.
  ///
  /// The text may hold any well-spelled program: whether its calls fit their schemas is `lint()`'s to say.
  ///
  /// - Parameter operators: Where the operators that the text calls are found.
  /// - Throws: `GraphError` with the line and column, what was found and what was expected: code `syntax`, or
  ///   `unknownOperator` for an operator that the table does not have.
  public init(parsing text: some StringProtocol, operators: any OperatorTable) throws(GraphError) {
    var parser = GraphParser(TextScanner(text), operators: operators)
    self = try parser.wholeGraph()
    try parser.end()
  }
}

/// Reads what `GraphPrinter` writes, freer in where lines break and in comments.
struct GraphParser {
  var scanner: TextScanner
  private let operators: any OperatorTable
  private var graph = Graph()
  private var found: [String: any Operator] = [:]

  init(_ scanner: TextScanner, operators: any OperatorTable) {
    self.scanner = scanner
    self.operators = operators
  }

  mutating func end() throws(GraphError) {
    scanner.skipSpace()
    guard scanner.isAtEnd else { throw scanner.failure(expected: "the end of the text") }
  }

  mutating func wholeGraph() throws(GraphError) -> Graph {
    graph = Graph()
    guard scanner.takeWord("graph") else { throw scanner.failure(expected: "'graph'") }
    try scanner.expect("(")
    if !scanner.take(")") {
      repeat { try parameter() } while scanner.take(",")
      guard scanner.take(")") else { throw scanner.failure(expected: "',' or ')'") }
    }
    try scanner.expect("{")
    while !scanner.take("}") { try statement() }
    return graph
  }

  private mutating func parameter() throws(GraphError) {
    let name = try newName("a graph input's name")
    var metadata = try typeAndDescriptor()
    try attributes(into: &metadata)
    if scanner.takeWord("at") {
      scanner.skipBlanks()
      guard let source = try scanner.takeLocation() else { throw scanner.failure(expected: "a place: file:line") }
      metadata.source = source
    }
    graph.placeholder(name, metadata: metadata)
  }

  private mutating func statement() throws(GraphError) {
    if graph.output != nil { throw scanner.failure(expected: "'}' after the return") }
    if scanner.takeWord("return") { return try returned() }
    let name = try newName("a statement or '}'")
    var metadata = try typeAndDescriptor()
    try scanner.expect("=")
    if scanner.takeWord("get_attr") {
      try scanner.expect("(")
      guard let path = try scanner.takeString() else { throw scanner.failure(expected: "a quoted path") }
      try scanner.expect(")")
      try ending(&metadata)
      graph.getAttribute(path, name: name, metadata: metadata)
    } else if scanner.takeWord("placeholder") {
      try scanner.expect("(")
      try scanner.expect(")")
      try ending(&metadata)
      graph.placeholder(name, metadata: metadata)
    } else {
      let target = try operatorTarget()
      let (arguments, keywords) = try callArguments()
      try ending(&metadata)
      graph.call(target, arguments, keywords, name: name, metadata: metadata)
    }
  }

  private mutating func returned() throws(GraphError) {
    let result = try argument()
    var metadata = NodeMetadata()
    if scanner.take(":") { metadata.value = try scanner.metaValue() }
    var descriptors: [Descriptor] = []
    if scanner.takeWord("as") {
      try scanner.expect("(")
      try scanner.list(until: ")") { scanner throws(GraphError) in descriptors.append(try scanner.descriptor()) }
    }
    let name = try ending(&metadata, ofReturn: true) ?? "output"
    guard graph.node(named: name) == nil else {
      throw scanner.failure("'\(name)' is already a node's name", at: scanner.position)
    }
    let output = graph.output(result, descriptors: descriptors)
    graph[metadata: output] = metadata
    if name != "output" { graph.rename(output, to: name) }
  }
}

// MARK: - Names and operators

extension GraphParser {
  private mutating func newName(_ role: String) throws(GraphError) -> String {
    scanner.skipSpace()
    let start = scanner.position
    let name = try scanner.identifier(role)
    if NameTable.reserved.contains(name) { throw scanner.failure("'\(name)' cannot name a node", at: start) }
    if graph.node(named: name) != nil { throw scanner.failure("'\(name)' is defined twice", at: start) }
    return name
  }

  private mutating func operatorTarget() throws(GraphError) -> any Operator {
    scanner.skipSpace()
    let start = scanner.position
    var parts: [String] = []
    repeat {
      guard let part = try scanner.takeName() else {
        throw scanner.failure(expected: "an operator such as aten.add.Tensor")
      }
      parts.append(part)
    } while parts.count < 3 && scanner.take(".")
    guard parts.count == 3 else {
      throw scanner.failure(expected: "'.' and the rest of an operator such as aten.add.Tensor")
    }
    let spelling = String(decoding: scanner.bytes[start..<scanner.position], as: UTF8.self)
    if let target = found[spelling] { return target }
    let name = OperatorName(parts[0], parts[1], parts[2])
    guard let target = StructuralOperators.lookup(name) ?? operators.lookup(name) else {
      throw scanner.failure("there is no operator '\(name)'", at: start, code: .unknownOperator)
    }
    found[spelling] = target
    return target
  }

  private mutating func callArguments() throws(GraphError) -> ([GraphArgument], [KeywordArgument]) {
    var arguments: [GraphArgument] = []
    var keywords: [KeywordArgument] = []
    try scanner.expect("(")
    if scanner.take(")") { return (arguments, keywords) }
    repeat {
      if let keyword = try takeKeyword() {
        keywords.append(KeywordArgument(keyword, try argument()))
      } else if keywords.isEmpty {
        arguments.append(try argument())
      } else {
        throw scanner.failure(expected: "an argument by name: those by position come first")
      }
    } while scanner.take(",")
    guard scanner.take(")") else { throw scanner.failure(expected: "',' or ')'") }
    return (arguments, keywords)
  }

  /// The name and the `=` of an argument by name, if one comes next.
  private mutating func takeKeyword() throws(GraphError) -> String? {
    let start = scanner.position
    if let name = try scanner.takeName(), scanner.take("=") { return name }
    scanner.position = start
    return nil
  }

  private mutating func argument() throws(GraphError) -> GraphArgument {
    let graph = graph
    return try scanner.argument { scanner throws(GraphError) in
      scanner.skipSpace()
      let start = scanner.position
      let name = try scanner.identifier("an argument")
      guard let node = graph.node(named: name) else {
        throw scanner.failure("'\(name)' is not defined before its use", at: start)
      }
      return node
    }
  }
}

// MARK: - Metadata

extension GraphParser {
  /// `: f32[8, 4] as input(0)`, either part optional.
  private mutating func typeAndDescriptor() throws(GraphError) -> NodeMetadata {
    var metadata = NodeMetadata()
    if scanner.take(":") { metadata.value = try scanner.metaValue() }
    if scanner.takeWord("as") { metadata.descriptor = try scanner.descriptor() }
    return metadata
  }

  /// `@no_grad`, `@must_recompute(1)`, `@backward`, `@forward(mm)`, `@note("key": "value")`.
  ///
  /// - Returns: The name in `@name(…)`, which only a return may have.
  @discardableResult
  private mutating func attributes(into metadata: inout NodeMetadata, ofReturn: Bool = false) throws(GraphError)
    -> String?
  {
    var name: String?
    while scanner.take("@") {
      let start = scanner.position
      let word = try scanner.identifier("an attribute's name")
      switch word {
      case "grad": metadata.gradMode = true
      case "no_grad": metadata.gradMode = false
      case "backward": metadata.isBackward = true
      case "forward":
        metadata.forwardNode = try parenthesized { scanner throws(GraphError) in
          guard let name = try scanner.takeName() else { throw scanner.failure(expected: "a node's name") }
          return name
        }
      case "note":
        let (key, value) = try parenthesized { scanner throws(GraphError) in
          guard let key = try scanner.takeString() else { throw scanner.failure(expected: "a quoted key") }
          try scanner.expect(":")
          guard let value = try scanner.takeString() else { throw scanner.failure(expected: "a quoted value") }
          return (key, value)
        }
        metadata.annotations[key] = value
      case "name" where ofReturn:
        name = try parenthesized { scanner throws(GraphError) in try scanner.identifier("a node's name") }
      case "descriptor" where ofReturn:
        metadata.descriptor = try parenthesized { scanner throws(GraphError) in try scanner.descriptor() }
      default:
        guard let tag = RecomputeTag(rawValue: word) else {
          throw scanner.failure("there is no attribute '@\(word)'", at: start)
        }
        metadata.recompute = tag
        if scanner.take("(") {
          metadata.recomputeRegion = try scanner.integer("a region's number")
          try scanner.expect(")")
        }
      }
    }
    return name
  }

  private mutating func parenthesized<Result>(
    _ body: (inout TextScanner) throws(GraphError) -> Result
  ) throws(GraphError) -> Result {
    try scanner.expect("(")
    let result = try body(&scanner)
    try scanner.expect(")")
    return result
  }

  /// The attributes that end a statement and the comment with its source.
  @discardableResult
  private mutating func ending(_ metadata: inout NodeMetadata, ofReturn: Bool = false) throws(GraphError) -> String? {
    let name = try attributes(into: &metadata, ofReturn: ofReturn)
    scanner.skipBlanks()
    if scanner.isNext("//") {
      let start = scanner.position
      scanner.position += 2
      scanner.skipBlanks()
      // Any other comment is just that.
      if let source = try? scanner.takeLocation() { metadata.source = source }
      scanner.position = start
    }
    return name
  }
}

extension TextScanner {
  /// Takes an identifier or a quoted name if one comes next; see `TextForm.name`.
  mutating func takeName() throws(GraphError) -> String? {
    if let name = takeIdentifier() { return name }
    return try takeString()
  }

  /// Takes `Sources/Model.swift:12` if it comes next.
  fileprivate mutating func takeLocation() throws(GraphError) -> SourceLocation? {
    let start = position
    var file: String
    if let quoted = try takeString() {
      file = quoted
    } else {
      while position < bytes.count, TextForm.isPathByte(bytes[position]) { position += 1 }
      file = String(decoding: bytes[start..<position], as: UTF8.self)
      if file.isEmpty { return nil }
    }
    guard current == UInt8(ascii: ":"), Self.isDigit(byte(after: 1)) || byte(after: 1) == UInt8(ascii: "-") else {
      position = start
      return nil
    }
    position += 1
    return SourceLocation(file: file, line: try integer("a line number"))
  }
}
