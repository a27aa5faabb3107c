import TensorCore

extension Graph {
  /// Reads a graph in JSON.
  ///
  /// - Throws: `GraphError` with code `syntax` where the text is no JSON, `malformed` where it is JSON but no graph, naming the
  ///   node, and `unknownOperator`.
  public init(json: some StringProtocol, operators: any OperatorTable) throws(GraphError) {
    var decoder = GraphJSONDecoder(operators: operators)
    self = try decoder.decoded(try JSONValue(parsing: json))
  }
}

private struct GraphJSONDecoder {
  private let operators: any OperatorTable
  private var graph = Graph()

  init(operators: any OperatorTable) { self.operators = operators }

  mutating func decoded(_ json: JSONValue) throws(GraphError) -> Graph {
    guard case .string("aot-graph")? = json["format"], case .int(1)? = json["version"] else {
      throw GraphError(.malformed, "needs \"format\": \"aot-graph\" and \"version\": 1")
    }
    let nodes = try array(json["nodes"], "nodes", of: nil)
    let descriptors = try array(json["outputDescriptors"] ?? .array([]), "outputDescriptors", of: nil)
    for node in nodes { try append(node) }
    for descriptor in descriptors {
      graph.outputDescriptors.append(
        try spelled(try string(descriptor, "descriptor", of: nil)) { scanner throws(GraphError) in
          try scanner.descriptor()
        })
    }
    return graph
  }

  private mutating func append(_ json: JSONValue) throws(GraphError) {
    let name = try string(json["name"], "name", of: nil)
    guard NameTable.isIdentifier(name), !NameTable.reserved.contains(name), graph.node(named: name) == nil else {
      throw GraphError(.malformed, "the name is not an identifier, or taken", node: name)
    }
    let metadata = try decodedMetadata(json["metadata"] ?? .object([]), of: name)
    let values = try array(json["arguments"] ?? .array([]), "arguments", of: name)
    var arguments: [GraphArgument] = []
    for value in values { arguments.append(try argument(value, of: name)) }
    var keywords: [KeywordArgument] = []
    for value in try array(json["keywordArguments"] ?? .array([]), "keywordArguments", of: name) {
      let (key, value) = try pair(value, of: name)
      keywords.append(KeywordArgument(key, try argument(value, of: name)))
    }
    let id: NodeID
    switch try string(json["kind"], "kind", of: name) {
    case "placeholder": id = graph.placeholder(name, metadata: metadata)
    case "get_attr":
      id = graph.getAttribute(try string(json["target"], "target", of: name), name: name, metadata: metadata)
    case "call_function":
      let spelling = try string(json["target"], "target", of: name)
      let target = try lookup(spelling, of: name)
      graph.call(target, arguments, keywords, name: name, metadata: metadata)
      return
    case "output":
      guard graph.output == nil else { throw GraphError(.malformed, "is a second output", node: name) }
      id = graph.output(.none)
      graph[metadata: id] = metadata
      graph.rename(id, to: name)
    case let kind: throw GraphError(.malformed, "there is no kind '\(kind)' of node", node: name)
    }
    graph.setArguments(of: id, arguments, keywords)
  }

  private func lookup(_ spelling: String, of node: String) throws(GraphError) -> any Operator {
    let parts = try spelled(spelling) { scanner throws(GraphError) in
      var parts: [String] = []
      repeat {
        guard let part = try scanner.takeName() else { throw scanner.failure(expected: "an operator's name") }
        parts.append(part)
      } while scanner.take(".")
      return parts
    }
    guard parts.count == 3 else { throw GraphError(.malformed, "'\(spelling)' is no operator's name", node: node) }
    let name = OperatorName(parts[0], parts[1], parts[2])
    guard let target = StructuralOperators.lookup(name) ?? operators.lookup(name) else {
      throw GraphError(.unknownOperator, "there is no operator '\(name)'", node: node)
    }
    return target
  }

  private func argument(_ json: JSONValue, of node: String) throws(GraphError) -> GraphArgument {
    switch json {
    case .null: return .none
    case .bool(let value): return .bool(value)
    case .int(let value):
      guard SymInt.concreteRange.contains(value) else {
        throw GraphError(.malformed, "the integer \(value) is out of range", node: node)
      }
      return .int(SymInt(value))
    case .string(let value): return .string(value)
    case .array(let values): return .list(try arguments(values, of: node))
    case .object(let members) where members.count == 1:
      switch (members[0].key, members[0].value) {
      case ("node", .string(let name)):
        guard let id = graph.node(named: name) else {
          throw GraphError(.malformed, "uses '\(name)', which is not defined before it", node: node)
        }
        return .reference(id)
      case ("double", .string(let spelling)), ("constant", .string(let spelling)): return try constant(spelling)
      case ("tuple", .array(let values)): return .tuple(try arguments(values, of: node))
      case ("dictionary", .array(let values)):
        var entries: [GraphArgument.DictionaryEntry] = []
        for value in values {
          let (key, value) = try pair(value, of: node)
          entries.append(.init(key: key, value: try argument(value, of: node)))
        }
        return .dictionary(entries)
      default: break
      }
    default: break
    }
    throw GraphError(.malformed, "\(json.kind) is not an argument", node: node)
  }

  private func arguments(
    _ values: [JSONValue], of node: String
  ) throws(GraphError) -> [GraphArgument] {
    var arguments: [GraphArgument] = []
    for value in values { arguments.append(try argument(value, of: node)) }
    return arguments
  }

  private func constant(_ spelling: String) throws(GraphError) -> GraphArgument {
    try spelled(spelling) { scanner throws(GraphError) in
      try scanner.argument { scanner throws(GraphError) in throw scanner.failure(expected: "a constant") }
    }
  }
}

// MARK: - Metadata and pieces

extension GraphJSONDecoder {
  private func decodedMetadata(_ json: JSONValue, of node: String) throws(GraphError) -> NodeMetadata {
    guard case .object(let members) = json else { throw wrong("metadata", json, "an object", of: node) }
    var metadata = NodeMetadata()
    for member in members {
      let (key, value) = (member.key, member.value)
      switch (key, value) {
      case ("value", .string(let text)):
        metadata.value = try spelled(text) { scanner throws(GraphError) in try scanner.metaValue() }
      case ("descriptor", .string(let text)):
        metadata.descriptor = try spelled(text) { scanner throws(GraphError) in try scanner.descriptor() }
      case ("source", .object):
        guard case .int(let line)? = value["line"] else { throw wrong("line", value["line"], "a number", of: node) }
        metadata.source = SourceLocation(file: try string(value["file"], "file", of: node), line: line)
      case ("gradMode", .bool(let value)): metadata.gradMode = value
      case ("isBackward", .bool(let value)): metadata.isBackward = value
      case ("forwardNode", .string(let name)): metadata.forwardNode = name
      case ("recompute", .string(let word)):
        guard let tag = RecomputeTag(rawValue: word) else {
          throw GraphError(.malformed, "there is no recompute tag '\(word)'", node: node)
        }
        metadata.recompute = tag
      case ("recomputeRegion", .int(let region)): metadata.recomputeRegion = region
      case ("annotations", .object(let annotations)):
        for note in annotations { metadata.annotations[note.key] = try string(note.value, note.key, of: node) }
      default: throw GraphError(.malformed, "metadata '\(key)' cannot be \(value.kind)", node: node)
      }
    }
    return metadata
  }

  /// Reads a piece that is spelled as in the text form, to its end.
  private func spelled<Result>(
    _ text: String, _ read: (inout TextScanner) throws(GraphError) -> Result
  ) throws(GraphError) -> Result {
    var scanner = TextScanner(text)
    let result = try read(&scanner)
    scanner.skipSpace()
    guard scanner.isAtEnd else { throw scanner.failure(expected: "the end of '\(text)'") }
    return result
  }

  private func pair(_ json: JSONValue, of node: String) throws(GraphError) -> (String, JSONValue) {
    guard case .array(let parts) = json, parts.count == 2, case .string(let key) = parts[0] else {
      throw wrong("an entry", json, "a name and a value", of: node)
    }
    return (key, parts[1])
  }

  private func string(_ json: JSONValue?, _ role: String, of node: String?) throws(GraphError) -> String {
    guard case .string(let value)? = json else { throw wrong(role, json, "a string", of: node) }
    return value
  }

  private func array(_ json: JSONValue?, _ role: String, of node: String?) throws(GraphError) -> [JSONValue] {
    guard case .array(let values)? = json else { throw wrong(role, json, "an array", of: node) }
    return values
  }

  private func wrong(_ role: String, _ found: JSONValue?, _ expected: String, of node: String?) -> GraphError {
    GraphError(.malformed, "\(role) must be \(expected), found \(found?.kind ?? "nothing")", node: node)
  }
}
