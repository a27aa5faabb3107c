/// A line on standard error that shows how far work has come: redrawn on a terminal, else printed now and then.
struct ProgressBar {
  private let console: Console
  private let total: Int
  private let linesWithoutTerminal = 10
  private var lastDraw: ContinuousClock.Instant?
  private var printedLines = 0

  init(total: Int, on console: Console) {
    self.total = total
    self.console = console
  }

  /// Shows that `done` of the total are done.
  mutating func update(_ done: Int, _ status: @autoclosure () -> String) {
    guard console.isErrorTerminal else {
      let line = done * linesWithoutTerminal / max(total, 1)
      if line > printedLines || done == total {
        printedLines = line
        console.printError("\(done)/\(total)  \(status())")
      }
      return
    }
    let now = ContinuousClock.now
    if done < total, let lastDraw, now - lastDraw < .milliseconds(50) { return }
    lastDraw = now
    let width = 24
    let filled = total == 0 ? width : min(width, done * width / total)
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
    console.writeError("\r\u{1B}[2K\(bar) \(done)/\(total)  \(status())" + (done == total ? "\n" : ""))
  }
}
