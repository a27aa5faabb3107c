import Foundation
import XCTest

/// Runs a program in the Python that `AOT_PYTHON` names, or the one on the path.
enum Python {
  private static let executable = ProcessInfo.processInfo.environment["AOT_PYTHON"] ?? "python3"

  /// - Throws: `XCTSkip` where there is no Python with those packages, and an error with what it printed where it fails.
  static func run(_ program: String, _ arguments: [String], needing packages: [String]) throws {
    guard try exitCode(of: "import \(packages.joined(separator: ", "))", []).code == 0 else {
      throw XCTSkip("there is no Python with \(packages.joined(separator: " and ")); AOT_PYTHON can name one")
    }
    let (code, text) = try exitCode(of: program, arguments)
    if code != 0 { throw Failure(description: "Python exits with \(code): \(text)") }
  }

  private struct Failure: Error, CustomStringConvertible { let description: String }

  private static func exitCode(of program: String, _ arguments: [String]) throws -> (code: Int32, text: String) {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [executable, "-c", program] + arguments
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, text)
  }
}
