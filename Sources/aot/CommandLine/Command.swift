/// A command: either a group of others, or something that takes arguments and runs.
struct Command: Sendable {
  let name: String
  /// One line, for the list in the group's help.
  let summary: String
  /// Paragraphs, for the command's own help.
  let discussion: String
  let body: Body

  enum Body: Sendable {
    /// The one named `standard` is meant where options or a file come without a name.
    case group([Command], standard: String?)
    case action(Action)
  }

  struct Action: Sendable {
    var operands: [Parameter] = []
    var options: [Parameter] = []
    let run: @Sendable (ParsedArguments, Console) throws -> Void
  }

  /// An option or operand with the type of its value forgotten.
  struct Parameter: Sendable {
    /// The option's name, or the operand's placeholder.
    let name: String
    /// Stands for the value in help; nil for a flag.
    let placeholder: String?
    let help: String
    /// As help shows it; nil where there is nothing to show.
    let defaultText: String?
    let parse: @Sendable (String) throws(InvalidValue) -> any Sendable
  }
}

extension Command {
  static func group(
    _ name: String, _ summary: String, discussion: String = "", standard: String? = nil, _ commands: [Command]
  ) -> Command {
    Command(name: name, summary: summary, discussion: discussion, body: .group(commands, standard: standard))
  }

  static func action(
    _ name: String, _ summary: String, discussion: String = "", operands: [Parameter] = [], options: [Parameter] = [],
    run: @escaping @Sendable (ParsedArguments, Console) throws -> Void
  ) -> Command {
    Command(
      name: name, summary: summary, discussion: discussion,
      body: .action(Action(operands: operands, options: options, run: run)))
  }
}

extension Option {
  var parameter: Command.Parameter {
    Command.Parameter(
      name: name, placeholder: kind.placeholder, help: help, defaultText: kind.describe(defaultValue),
      parse: { [kind] text throws(InvalidValue) in try kind.parse(text) })
  }
}

extension Operand {
  var name: String { kind.placeholder ?? "" }

  var parameter: Command.Parameter {
    Command.Parameter(
      name: name, placeholder: nil, help: help, defaultText: nil,
      parse: { [kind] text throws(InvalidValue) in try kind.parse(text) })
  }
}
