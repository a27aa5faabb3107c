import AOTAutograd
import Conformance
import Foundation
import XCTest

/// Models that torch.export wrote: results, gradients, buffers and training steps are PyTorch's, eagerly and compiled.
final class ModelConformanceTests: XCTestCase {
  func testSampleModelsReplay() throws { try replay(Facts.modelSample, atLeast: 30) }

  func testSampleModelsReplayInterpreted() throws { try replay(Facts.modelSample, .interpret, atLeast: 30) }

  func testRecordedModelsReplay() throws {
    guard let folder = Facts.models else { throw XCTSkip("the recorded models are not beside this package") }
    try replay(folder, atLeast: 60)
  }

  private func replay(
    _ folder: URL, _ compiler: AOTConfiguration.Compiler = .cpu, atLeast count: Int, line: UInt = #line
  ) throws {
    var passed = 0
    ModelReplay(try ModelFacts(folder: folder), configuration: AOTConfiguration(compiler: compiler)).run { result in
      switch result.outcome {
      case .passed: passed += 1
      case .failed(let mismatch): XCTFail("\(result.id): \(mismatch)", line: line)
      case .skipped(let reason): XCTFail("\(result.id): \(reason)", line: line)
      }
    }
    XCTAssertGreaterThanOrEqual(passed, count, line: line)
  }
}
