/// The program as a function of its arguments.
enum Tool {
  /// Runs a command line.
  ///
  /// - Returns: The exit code: 0 where all went well, 1 where a command failed, 2 where the arguments were wrong.
  static func run(_ arguments: [String], console: Console) -> Int32 {
    do {
      switch try ArgumentParser.parse(arguments, of: .aot) {
      case .help(let command, let path): console.print(HelpText.of(command, path: path))
      case .run(let action, let values): try action.run(values, console)
      }
      return 0
    } catch let error as UsageError {
      console.printError("\(error)")
      return 2
    } catch {
      console.printError("aot: \(error)")
      return 1
    }
  }
}
