import Foundation
import XCTest

@testable import aot

final class ToolTests: XCTestCase {
  func testEveryCommandHasHelp() {
    func check(_ command: Command, path: [String]) {
      let result = RecordingConsole.run(Array(path.dropFirst()) + ["--help"])
      XCTAssertEqual(result.code, 0)
      XCTAssertEqual(result.error, "")
      XCTAssertTrue(result.output.contains("USAGE: " + path.joined(separator: " ")), result.output)
      switch command.body {
      case .group(let commands, _):
        for inner in commands {
          XCTAssertTrue(result.output.contains("  \(inner.name) "), "\(path) does not list \(inner.name)")
          check(inner, path: path + [inner.name])
        }
      case .action(let action):
        for option in action.options {
          XCTAssertTrue(result.output.contains("  --\(option.name)"), "\(path) does not tell of --\(option.name)")
        }
      }
      for line in result.output.split(separator: "\n") {
        XCTAssertLessThanOrEqual(line.count, 120, "\(path): \(line)")
      }
    }
    check(.aot, path: ["aot"])
  }

  func testExitCodes() {
    XCTAssertEqual(RecordingConsole.run("train digits --epoch 3").code, 2)
    XCTAssertEqual(RecordingConsole.run("train digits --model cnn").code, 2)
    XCTAssertEqual(RecordingConsole.run("trian digits").code, 2)
    XCTAssertEqual(RecordingConsole.run("show").code, 2)

    let missing = RecordingConsole.run("show nowhere.graph")
    XCTAssertEqual(missing.code, 1)
    XCTAssertEqual(missing.output, "")
    XCTAssertTrue(missing.error.hasPrefix("aot: cannot read nowhere.graph"), missing.error)

    XCTAssertEqual(RecordingConsole.run("train digits --batch 100000").code, 1)
    XCTAssertEqual(RecordingConsole.run("train gpt --width 30").code, 1)
  }

  func testBinaryExits() throws {
    let directory = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
    let binary = directory.appending(path: "aot")
    try XCTSkipUnless(FileManager.default.isExecutableFile(atPath: binary.path), "no binary at \(binary.path)")
    func run(_ arguments: String...) throws -> (code: Int32, output: String, error: String) {
      let process = Process()
      let (output, error) = (Pipe(), Pipe())
      process.executableURL = binary
      process.arguments = arguments
      process.standardOutput = output
      process.standardError = error
      try process.run()
      let texts = [output, error].map { String(decoding: $0.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self) }
      process.waitUntilExit()
      return (process.terminationStatus, texts[0], texts[1])
    }
    let help = try run("--help")
    XCTAssertEqual(help.code, 0)
    XCTAssertEqual(help.output, RecordingConsole.run("--help").output)
    XCTAssertEqual(help.error, "")

    let misspelt = try run("shwo")
    XCTAssertEqual(misspelt.code, 2)
    XCTAssertEqual(misspelt.output, "")
    XCTAssertTrue(misspelt.error.hasPrefix("aot: there is no command 'shwo'; did you mean 'show'?"), misspelt.error)

    XCTAssertEqual(try run("show", "nowhere.graph").code, 1)
  }
}
