extension Graph {
  /// The graph in Graphviz's language, to look at.
  public func dot(name: String = "graph") -> String {
    var text = "digraph \(Self.dotQuoted(name)) {\n  rankdir=TB;\n  node [shape=box, fontname=\"monospace\"];\n"
    let order = nodes
    for id in order {
      let node = self[id]
      var lines = [node.name]
      let color: String
      switch node.kind {
      case .placeholder:
        color = "lightblue"
        if let descriptor = node.metadata.descriptor { lines.append(descriptor.description) }
      case .getAttribute(let path):
        color = "lightyellow"
        lines.append(path)
      case .callFunction(let target):
        color = target.isPure ? "white" : "mistyrose"
        lines.append(target.name.description)
      case .output: color = "lightgrey"
      }
      if let value = node.metadata.value { lines.append(value.description) }
      let style = node.metadata.isBackward ? "filled,dashed" : "filled"
      text +=
        "  n\(id.index) [label=\(Self.dotQuoted(lines.joined(separator: "\n"))), style=\"\(style)\", fillcolor=\(color)];\n"
    }
    for id in order {
      for input in inputs(of: id) { text += "  n\(input.index) -> n\(id.index);\n" }
    }
    return text + "}\n"
  }

  private static func dotQuoted(_ text: String) -> String {
    let escaped = text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    return "\"\(escaped)\""
  }
}
