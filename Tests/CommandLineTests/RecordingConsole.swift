import Synchronization

@testable import aot

/// A console that keeps what was written, and the program run on it.
final class RecordingConsole: Sendable {
  private let texts = Mutex((output: "", error: ""))

  var output: String { texts.withLock { $0.output } }
  var error: String { texts.withLock { $0.error } }

  func console(isErrorTerminal: Bool = false) -> Console {
    Console(
      writeOutput: { [self] text in texts.withLock { $0.output += text } },
      writeError: { [self] text in texts.withLock { $0.error += text } }, isErrorTerminal: isErrorTerminal)
  }

  /// Runs a command line, given as words between spaces.
  static func run(_ line: String) -> (code: Int32, output: String, error: String) {
    run(line.split(separator: " ").map(String.init))
  }

  static func run(_ arguments: [String]) -> (code: Int32, output: String, error: String) {
    let recording = RecordingConsole()
    let code = Tool.run(arguments, console: recording.console())
    return (code, recording.output, recording.error)
  }
}
