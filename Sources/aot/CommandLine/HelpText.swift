/// What `--help` prints.
enum HelpText {
  static func of(_ command: Command, path: [String]) -> String {
    let name = path.joined(separator: " ")
    var sections = [command.summary + "."]
    switch command.body {
    case .group(let commands, _):
      sections.append("USAGE: \(name) COMMAND")
      if !command.discussion.isEmpty { sections.append(command.discussion) }
      sections.append("COMMANDS:\n" + table(commands.map { ($0.name, $0.summary) }))
      sections.append("'\(name) COMMAND --help' tells more about a command.")
    case .action(let action):
      let operands = action.operands.map(\.name)
      sections.append("USAGE: " + ([name] + operands + ["[OPTIONS]"]).joined(separator: " "))
      if !command.discussion.isEmpty { sections.append(command.discussion) }
      if !action.operands.isEmpty {
        sections.append("OPERANDS:\n" + table(action.operands.map { ($0.name, $0.help) }))
      }
      let options = action.options.map { option in
        let value = option.placeholder.map { " " + $0 } ?? ""
        let note = option.defaultText.map { " (default: \($0))" } ?? ""
        return ("--\(option.name)\(value)", option.help + note)
      }
      sections.append("OPTIONS:\n" + table(options + [("--help", "print this")]))
    }
    return sections.joined(separator: "\n\n")
  }

  private static func table(_ rows: [(name: String, text: String)]) -> String {
    let width = rows.map(\.name.count).max() ?? 0
    return rows.map { name, text in
      "  " + name + String(repeating: " ", count: width - name.count + 2) + text
    }.joined(separator: "\n")
  }
}
