/// Arguments that name no command or do not fit the one they name. The exit code is 2.
struct UsageError: Error, Hashable, CustomStringConvertible {
  /// The commands that led here, such as `["aot", "train"]`.
  var path: [String]
  var message: String
  var suggestion: String?

  var description: String {
    let hint = suggestion.map { "; did you mean '\($0)'?" } ?? ""
    let command = path.joined(separator: " ")
    return "\(command): \(message)\(hint)\nRun '\(command) --help' for what there is."
  }
}

/// What a command line asks for.
enum Invocation {
  case run(Command.Action, ParsedArguments)
  case help(Command, path: [String])
}

enum ArgumentParser {
  /// Finds the command that arguments name and the values for it.
  ///
  /// - Parameter arguments: Without the program's name.
  static func parse(_ arguments: [String], of root: Command) throws(UsageError) -> Invocation {
    var rest = arguments[...]
    var path = [root.name]
    var command = root
    while case .group(let commands, let standard) = command.body {
      guard let word = rest.first, !isHelp(word), word != "help" else { return .help(command, path: path) }
      // A file's name is no command's.
      let implied = word.hasPrefix("-") || word.contains(".") ? standard : nil
      if implied == nil { rest.removeFirst() }
      guard let next = commands.first(where: { $0.name == implied ?? word }) else {
        let kind = word.hasPrefix("-") ? "option" : "command"
        let names = kind == "command" ? commands.map(\.name) : ["--help"]
        throw UsageError(
          path: path, message: "there is no \(kind) '\(word)'", suggestion: Spelling.nearest(to: word, in: names))
      }
      command = next
      path.append(next.name)
    }
    guard case .action(let action) = command.body else { return .help(command, path: path) }
    if rest.contains(where: isHelp) { return .help(command, path: path) }
    return .run(action, try parse(rest, of: action, path: path))
  }

  private static func isHelp(_ word: String) -> Bool { word == "--help" || word == "-h" }

  private static func parse(
    _ arguments: ArraySlice<String>, of action: Command.Action, path: [String]
  ) throws(UsageError) -> ParsedArguments {
    var rest = arguments
    var values = ParsedArguments()
    var operands = action.operands[...]
    while let word = rest.popFirst() {
      if word.hasPrefix("-"), word.count > 1 {
        let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
        guard let option = action.options.first(where: { "--" + $0.name == parts[0] }) else {
          let names = action.options.map { "--" + $0.name } + ["--help"]
          throw UsageError(
            path: path, message: "there is no option '\(parts[0])'",
            suggestion: Spelling.nearest(to: parts[0], in: names))
        }
        guard !values.has(parts[0]) else {
          throw UsageError(path: path, message: "option '\(parts[0])' was given twice")
        }
        let inline = parts.count > 1 ? parts[1] : nil
        let text = try valueText(of: option, inline: inline, from: &rest, path: path)
        values.set(parts[0], try value(text, of: option, named: parts[0], path: path))
      } else {
        guard let operand = operands.popFirst() else {
          throw UsageError(path: path, message: "there is no place for '\(word)'")
        }
        values.set(operand.name, try value(word, of: operand, named: operand.name, path: path))
      }
    }
    if let missing = operands.first { throw UsageError(path: path, message: "\(missing.name) is missing") }
    return values
  }

  private static func valueText(
    of option: Command.Parameter, inline: String?, from rest: inout ArraySlice<String>, path: [String]
  ) throws(UsageError) -> String {
    guard let placeholder = option.placeholder else {
      if inline != nil { throw UsageError(path: path, message: "option '--\(option.name)' takes no value") }
      return ""
    }
    guard let text = inline ?? rest.popFirst() else {
      throw UsageError(path: path, message: "option '--\(option.name)' needs a value, \(placeholder)")
    }
    return text
  }

  private static func value(
    _ text: String, of parameter: Command.Parameter, named name: String, path: [String]
  ) throws(UsageError) -> any Sendable {
    do {
      return try parameter.parse(text)
    } catch {
      throw UsageError(path: path, message: "\(name) \(error.requirement), got '\(text)'", suggestion: error.suggestion)
    }
  }
}
