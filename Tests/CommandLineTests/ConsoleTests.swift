import XCTest

@testable import aot

final class ConsoleTests: XCTestCase {
  func testTableAlignsColumns() {
    var table = Table(["nodes", "loss"])
    table.add(["joint", "42"])
    table.add(["forward", "7"])
    XCTAssertEqual(
      table.text,
      """
      nodes    loss
      joint      42
      forward     7
      """)
  }

  func testJSONLineKeepsOrder() {
    var line = JSONLine()
    line.add("b", 1)
    line.add("a", 0.5)
    line.add("c", Double.nan)
    XCTAssertEqual(line.text, #"{"b": 1, "a": 0.5, "c": null}"#)
  }

  func testProgressPrintsFewLinesWithoutTerminal() {
    let recording = RecordingConsole()
    var bar = ProgressBar(total: 1000, on: recording.console())
    for done in 1...1000 { bar.update(done, "status \(done)") }
    let lines = recording.error.split(separator: "\n")
    XCTAssertEqual(lines.count, 10)
    XCTAssertEqual(lines.first, "100/1000  status 100")
    XCTAssertEqual(lines.last, "1000/1000  status 1000")
    XCTAssertEqual(recording.output, "")
  }

  func testProgressRedrawsOneLineOnTerminal() {
    let recording = RecordingConsole()
    var bar = ProgressBar(total: 4, on: recording.console(isErrorTerminal: true))
    for done in 1...4 { bar.update(done, "x") }
    XCTAssertTrue(recording.error.hasPrefix("\r\u{1B}[2K██████░░░░░░░░░░░░░░░░░░ 1/4  x"))
    XCTAssertTrue(recording.error.hasSuffix("████████████████████████ 4/4  x\n"))
    XCTAssertEqual(recording.error.filter { $0 == "\n" }.count, 1)
  }
}
