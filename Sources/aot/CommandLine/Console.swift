import Foundation

/// Where a command writes: results to standard output, progress and errors to standard error.
struct Console: Sendable {
  /// Writes text to standard output as it is.
  let writeOutput: @Sendable (String) -> Void
  /// Writes text to standard error as it is.
  let writeError: @Sendable (String) -> Void
  /// Whether standard error is a terminal, on which a line can be drawn again.
  let isErrorTerminal: Bool

  /// The process's own streams.
  static let standard = Console(
    writeOutput: { FileHandle.standardOutput.write(Data($0.utf8)) },
    writeError: { FileHandle.standardError.write(Data($0.utf8)) },
    isErrorTerminal: isatty(STDERR_FILENO) == 1)

  func print(_ line: String) { writeOutput(line + "\n") }
  func printError(_ line: String) { writeError(line + "\n") }
}
