import XCTest

@testable import aot

final class ArgumentParserTests: XCTestCase {
  private enum Color: String, CaseIterable, Sendable { case red, green }

  private static let count = Option("count", .integer(), default: 3, "how many")
  private static let scale = Option("scale", .number("X", in: 0...1), default: 0.5, "how much")
  private static let color = Option("color", .choice, default: Color.red, "which")
  private static let path = Option("path", .optionalText("FILE"), default: nil, "where")
  private static let loud = Option.flag("loud", "with noise")
  private static let word = Operand(.text("WORD"), "what to say")

  private static let root = Command.group(
    "tool", "Does things",
    [
      .action(
        "say", "Says a word", operands: [word.parameter],
        options: [count.parameter, scale.parameter, color.parameter, path.parameter, loud.parameter]
      ) { _, _ in }
    ])

  private func values(_ line: String, file: StaticString = #filePath, at sourceLine: UInt = #line) throws
    -> ParsedArguments
  {
    let invocation = try ArgumentParser.parse(line.split(separator: " ").map(String.init), of: Self.root)
    guard case .run(_, let values) = invocation else {
      XCTFail("'\(line)' asks for help", file: file, line: sourceLine)
      return ParsedArguments()
    }
    return values
  }

  private func expectUsageError(_ line: String, _ expected: String, file: StaticString = #filePath, at: UInt = #line) {
    XCTAssertThrowsError(try values(line), file: file, line: at) { error in
      let first = "\(error)".split(separator: "\n").first.map(String.init)
      XCTAssertEqual(first, expected, file: file, line: at)
    }
  }

  func testDefaults() throws {
    let values = try values("say hello")
    XCTAssertEqual(values[Self.word], "hello")
    XCTAssertEqual(values[Self.count], 3)
    XCTAssertEqual(values[Self.scale], 0.5)
    XCTAssertEqual(values[Self.color], .red)
    XCTAssertNil(values[Self.path])
    XCTAssertFalse(values[Self.loud])
  }

  func testValues() throws {
    let values = try values("say --count 7 hello --scale=0.25 --color green --path=a=b --loud")
    XCTAssertEqual(values[Self.word], "hello")
    XCTAssertEqual(values[Self.count], 7)
    XCTAssertEqual(values[Self.scale], 0.25)
    XCTAssertEqual(values[Self.color], .green)
    XCTAssertEqual(values[Self.path], "a=b")
    XCTAssertTrue(values[Self.loud])
  }

  func testOptionsWithoutACommandAreTheStandardOnes() throws {
    let root = Command.group(
      "tool", "Does things", standard: "count",
      [
        .action("count", "Counts", options: [Self.count.parameter]) { _, _ in },
        .action("shout", "Shouts", options: [Self.loud.parameter]) { _, _ in },
      ])
    guard case .run(_, let values) = try ArgumentParser.parse(["--count", "7"], of: root) else {
      return XCTFail("help")
    }
    XCTAssertEqual(values[Self.count], 7)
    guard case .help = try ArgumentParser.parse([], of: root) else { return XCTFail("no help") }
    XCTAssertThrowsError(try ArgumentParser.parse(["--loud"], of: root))
  }

  func testUnknownNamesSuggestTheNearest() {
    expectUsageError("sya hello", "tool: there is no command 'sya'; did you mean 'say'?")
    expectUsageError("say hello --cuont 2", "tool say: there is no option '--cuont'; did you mean '--count'?")
    expectUsageError(
      "say hello --color gren", "tool say: --color must be one of red, green, got 'gren'; did you mean 'green'?")
    expectUsageError("say hello --zzzzzzzz", "tool say: there is no option '--zzzzzzzz'")
    expectUsageError("--hepl", "tool: there is no option '--hepl'; did you mean '--help'?")
  }

  func testUnfitValues() {
    expectUsageError("say hello --count 0", "tool say: --count must be an integer of at least 1, got '0'")
    expectUsageError("say hello --count many", "tool say: --count must be an integer of at least 1, got 'many'")
    expectUsageError("say hello --scale nan", "tool say: --scale must be a number from 0.0 to 1.0, got 'nan'")
    expectUsageError("say hello --count", "tool say: option '--count' needs a value, N")
    expectUsageError("say hello --loud=yes", "tool say: option '--loud' takes no value")
    expectUsageError("say hello --count 1 --count 2", "tool say: option '--count' was given twice")
  }

  func testOperands() {
    expectUsageError("say", "tool say: WORD is missing")
    expectUsageError("say hello again", "tool say: there is no place for 'again'")
  }

  func testHelpWinsOverMistakes() throws {
    for line in ["", "--help", "-h", "help"] {
      let arguments = line.split(separator: " ").map(String.init)
      guard case .help(let command, let path) = try ArgumentParser.parse(arguments, of: Self.root) else {
        return XCTFail("'\(line)' does not ask for help")
      }
      XCTAssertEqual(command.name, "tool")
      XCTAssertEqual(path, ["tool"])
    }
    guard case .help(_, let path) = try ArgumentParser.parse(["say", "--zzz", "--help"], of: Self.root) else {
      return XCTFail("'--help' after a mistake does not ask for help")
    }
    XCTAssertEqual(path, ["tool", "say"])
  }

  func testHelpText() throws {
    guard case .help(let command, let path) = try ArgumentParser.parse(["say", "--help"], of: Self.root) else {
      return XCTFail("no help")
    }
    XCTAssertEqual(
      HelpText.of(command, path: path),
      """
      Says a word.

      USAGE: tool say WORD [OPTIONS]

      OPERANDS:
        WORD  what to say

      OPTIONS:
        --count N          how many (default: 3)
        --scale X          how much (default: 0.5)
        --color red|green  which (default: red)
        --path FILE        where
        --loud             with noise
        --help             print this
      """)
  }

  func testSpelling() {
    XCTAssertEqual(Spelling.distance("kitten", "sitting"), 3)
    XCTAssertEqual(Spelling.distance("abcd", "abdc"), 1)
    XCTAssertEqual(Spelling.distance("", "abc"), 3)
    XCTAssertNil(Spelling.nearest(to: "xyz", in: ["train", "show"]))
    XCTAssertNil(Spelling.nearest(to: "xyz", in: []))
  }

  func testAFileWithoutACommandIsForTheStandardOne() throws {
    let group = Command.group(
      "tool", "Does things", standard: "say",
      [.action("say", "Says a word", operands: [Self.word.parameter]) { _, _ in }])
    for line in [["model.pt2"], ["say", "model.pt2"], ["./say.pt2"]] {
      guard case .run(_, let values) = try ArgumentParser.parse(line, of: group) else { return XCTFail("\(line)") }
      XCTAssertEqual(values[Self.word], line.last)
    }
    XCTAssertThrowsError(try ArgumentParser.parse(["sya"], of: group)) { error in
      XCTAssertTrue("\(error)".contains("did you mean 'say'?"), "\(error)")
    }
  }
}
