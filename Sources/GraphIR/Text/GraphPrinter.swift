/// Writes a graph, or a module with its nested ones, as text. `GraphParser` reads it back exactly.
struct GraphPrinter {
  private(set) var text = ""
  private let graph: Graph
  private let indent: String

  /// Parameters that need more room than this stand on lines of their own.
  private static let lineLength = 120

  init(_ graph: Graph, indent: String = "") {
    self.graph = graph
    self.indent = indent
    text.reserveCapacity(graph.count * 80)
    let nodes = graph.nodes
    let parameters = nodes.prefix { graph[$0].isPlaceholder }
    header(parameters)
    for id in nodes.dropFirst(parameters.count) { statement(graph[id]) }
    text += indent
    text += "}"
  }

  private mutating func header(_ parameters: ArraySlice<NodeID>) {
    text += indent
    text += "graph("
    let start = text.utf8.count
    let spelled = parameters.map { parameter(graph[$0]) }
    if start + spelled.reduce(0, { $0 + $1.utf8.count + 2 }) <= Self.lineLength {
      text += spelled.joined(separator: ", ")
    } else {
      for (index, parameter) in spelled.enumerated() {
        text += index == 0 ? "\n  " : ",\n  "
        text += indent
        text += parameter
      }
      text += "\n"
      text += indent
    }
    text += ") {\n"
  }

  private func parameter(_ node: Node) -> String {
    var text = node.name
    Self.append(type: node.metadata.value, to: &text)
    Self.append(descriptor: node.metadata.descriptor, to: &text)
    Self.append(attributes: node.metadata, to: &text)
    if let source = node.metadata.source {
      text += " at "
      text += TextForm.location(source)
    }
    return text
  }

  private mutating func statement(_ node: Node) {
    text += indent
    text += "  "
    if node.isOutput { returned(node) } else { definition(node) }
    Self.append(attributes: node.metadata, to: &text)
    if let source = node.metadata.source {
      text += "    // "
      text += TextForm.location(source)
    }
    text += "\n"
  }

  private mutating func definition(_ node: Node) {
    text += node.name
    Self.append(type: node.metadata.value, to: &text)
    Self.append(descriptor: node.metadata.descriptor, to: &text)
    text += " = "
    switch node.kind {
    case .placeholder: text += "placeholder()"
    case .output: break
    case .getAttribute(let path):
      text += "get_attr("
      text += TextForm.quoted(path)
      text += ")"
    case .callFunction(let target):
      text += TextForm.operatorName(target.name)
      text += "("
      var isFirst = true
      for argument in node.arguments {
        if !isFirst { text += ", " }
        isFirst = false
        append(argument)
      }
      for keyword in node.keywordArguments {
        if !isFirst { text += ", " }
        isFirst = false
        text += TextForm.name(keyword.name)
        text += "="
        append(keyword.value)
      }
      text += ")"
    }
  }

  private mutating func returned(_ node: Node) {
    text += "return "
    append(node.arguments.first ?? .none)
    Self.append(type: node.metadata.value, to: &text)
    if !graph.outputDescriptors.isEmpty {
      text += " as ("
      text += graph.outputDescriptors.map(\.description).joined(separator: ", ")
      text += ")"
    }
    if node.name != "output" { text += " @name(\(node.name))" }
    if let descriptor = node.metadata.descriptor { text += " @descriptor(\(descriptor))" }
  }

  private mutating func append(_ argument: GraphArgument) {
    let graph = graph
    TextForm.append(argument, to: &text) { id, text in
      text += graph.contains(id) ? graph[id].name : "erased_\(id.index)"
    }
  }
}

// MARK: - Metadata

extension GraphPrinter {
  private static func append(type: MetaValue?, to text: inout String) {
    guard let type else { return }
    text += ": "
    TextForm.append(type, to: &text)
  }

  private static func append(descriptor: Descriptor?, to text: inout String) {
    guard let descriptor else { return }
    text += " as "
    text += descriptor.description
  }

  private static func append(attributes metadata: NodeMetadata, to text: inout String) {
    if let gradMode = metadata.gradMode { text += gradMode ? " @grad" : " @no_grad" }
    if let recompute = metadata.recompute {
      text += " @\(recompute.rawValue)"
      if let region = metadata.recomputeRegion { text += "(\(region))" }
    }
    if metadata.isBackward { text += " @backward" }
    if let forward = metadata.forwardNode { text += " @forward(\(TextForm.name(forward)))" }
    if metadata.annotations.isEmpty { return }
    for (key, value) in metadata.annotations.sorted(by: { $0.key < $1.key }) {
      text += " @note(\(TextForm.quoted(key)): \(TextForm.quoted(value)))"
    }
  }
}

extension Graph: CustomStringConvertible {
  /// The graph as text, which `Graph(parsing:operators:)` reads back exactly.
  public var description: String { GraphPrinter(self).text + "\n" }
}
