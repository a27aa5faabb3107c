import AOTAutograd
import Conformance
import Foundation
import XCTest

/// Functions, calls and what users do with their results, recorded from PyTorch and done again: eagerly and compiled.
final class ScenarioConformanceTests: XCTestCase {
  func testSampleReplays() throws { try replay(Facts.scenarioSample, .cpu, atLeast: 100) }

  func testSampleReplaysInterpreted() throws { try replay(Facts.scenarioSample, .interpret, atLeast: 100) }

  func testFullSetReplays() throws { try replay(fullSet(), .cpu, atLeast: 380) }

  func testFullSetReplaysInterpreted() throws { try replay(fullSet(), .interpret, atLeast: 380) }

  private func fullSet() throws -> URL {
    guard let folder = Facts.scenarios else { throw XCTSkip("no shared/conformance/scenarios beside the checkout") }
    return folder
  }

  private func replay(
    _ folder: URL, _ compiler: AOTConfiguration.Compiler, atLeast count: Int,
    file: StaticString = #filePath, line: UInt = #line
  ) throws {
    var passed = 0
    ScenarioReplay(try ScenarioFacts(folder: folder), configuration: AOTConfiguration(compiler: compiler)).run {
      result in
      switch result.outcome {
      case .passed: passed += 1
      case .failed(let mismatch): XCTFail("\(result.id): \(mismatch)", file: file, line: line)
      case .skipped(let reason): XCTFail("\(result.id) was skipped: \(reason)", file: file, line: line)
      }
    }
    XCTAssertGreaterThanOrEqual(passed, count, file: file, line: line)
  }
}
