import TensorCore

// A graph in JSON: {"format": "aot-graph", "version": 1, "nodes": [...], "outputDescriptors": [...]}. Constants that JSON has no
// word for, types and descriptors are spelled as in the text form, so both forms have one grammar.

extension Graph {
  /// The graph in JSON, which `Graph(json:operators:)` reads back exactly.
  public func json() -> String {
    let nodes = nodes.map { encoded(self[$0]) }
    let descriptors = outputDescriptors.map { JSONValue.string($0.description) }
    return JSONValue.object([
      .init("format", .string("aot-graph")), .init("version", .int(1)), .init("nodes", .array(nodes)),
      .init("outputDescriptors", .array(descriptors)),
    ]).text
  }

  private func encoded(_ node: Node) -> JSONValue {
    var members: [JSONValue.Member] = [.init("name", .string(node.name))]
    switch node.kind {
    case .placeholder: members.append(.init("kind", .string("placeholder")))
    case .getAttribute(let path): members += [.init("kind", .string("get_attr")), .init("target", .string(path))]
    case .callFunction(let target):
      members += [
        .init("kind", .string("call_function")), .init("target", .string(TextForm.operatorName(target.name))),
      ]
    case .output: members.append(.init("kind", .string("output")))
    }
    if !node.arguments.isEmpty { members.append(.init("arguments", .array(node.arguments.map(encoded)))) }
    if !node.keywordArguments.isEmpty {
      let keywords = node.keywordArguments.map { JSONValue.array([.string($0.name), encoded($0.value)]) }
      members.append(.init("keywordArguments", .array(keywords)))
    }
    let metadata = Self.encoded(node.metadata)
    if !metadata.isEmpty { members.append(.init("metadata", .object(metadata))) }
    return .object(members)
  }

  private func encoded(_ argument: GraphArgument) -> JSONValue {
    switch argument {
    case .none: .null
    case .reference(let id): .object([.init("node", .string(contains(id) ? self[id].name : "erased_\(id.index)"))])
    case .bool(let value): .bool(value)
    case .int(let value): .int(value.value)
    case .string(let value): .string(value)
    case .double(let value): .object([.init("double", .string(TextForm.exact(value)))])
    case .dtype, .device, .memoryFormat: .object([.init("constant", .string(argument.description))])
    case .list(let values): .array(values.map(encoded))
    case .tuple(let values): .object([.init("tuple", .array(values.map(encoded)))])
    case .dictionary(let entries):
      .object([.init("dictionary", .array(entries.map { .array([.string($0.key), encoded($0.value)]) }))])
    }
  }

  private static func encoded(_ metadata: NodeMetadata) -> [JSONValue.Member] {
    var members: [JSONValue.Member] = []
    if let value = metadata.value { members.append(.init("value", .string(value.description))) }
    if let source = metadata.source {
      members.append(.init("source", .object([.init("file", .string(source.file)), .init("line", .int(source.line))])))
    }
    if let descriptor = metadata.descriptor { members.append(.init("descriptor", .string(descriptor.description))) }
    if let gradMode = metadata.gradMode { members.append(.init("gradMode", .bool(gradMode))) }
    if let recompute = metadata.recompute { members.append(.init("recompute", .string(recompute.rawValue))) }
    if let region = metadata.recomputeRegion { members.append(.init("recomputeRegion", .int(region))) }
    if let forward = metadata.forwardNode { members.append(.init("forwardNode", .string(forward))) }
    if metadata.isBackward { members.append(.init("isBackward", .bool(true))) }
    if !metadata.annotations.isEmpty {
      let annotations = metadata.annotations.sorted { $0.key < $1.key }.map {
        JSONValue.Member($0.key, .string($0.value))
      }
      members.append(.init("annotations", .object(annotations)))
    }
    return members
  }
}
