import XCTest

@testable import aot

/// The errors that `aot bench accuracy` measures, on a sample of all numbers.
final class AccuracyTests: XCTestCase {
  func testFunctionsAreWithinTwoUnitsInTheLastPlace() throws {
    for subject in AccuracySubject.all {
      let finding = try AccuracyBenchmark.measure(subject, stride: 300_007)
      XCTAssertLessThanOrEqual(finding.largestError, 2, "\(subject.name)\(finding.operands)")
    }
  }

  /// Signed zeros, subnormal numbers, infinities, NaN and the ends of domains.
  func testSpecialNumbers() throws {
    let magnitudes: [Float] = [
      0, .leastNonzeroMagnitude, .leastNormalMagnitude, 0.5, 1, 2, 3, 2_097_152, 16_777_216, .greatestFiniteMagnitude,
      .infinity,
    ]
    let numbers = magnitudes + magnitudes.map(-) + [.nan]
    for subject in AccuracySubject.all {
      let seconds = subject.operandCount == 1 ? [0] : numbers
      let pairs: [(Float, Float)] = numbers.flatMap { x in seconds.map { y in (x, y) } }
      let finding = try AccuracyBenchmark.measure(subject, operands: pairs)
      XCTAssertLessThanOrEqual(finding.largestError, 2, "\(subject.name)\(finding.operands)")
    }
  }

  func testCommandPrintsWhatItFinds() {
    let result = RecordingConsole.run("bench accuracy --function log --stride 10000019 --json")
    XCTAssertEqual(result.code, 0)
    XCTAssertTrue(result.output.contains("\"function\": \"log\""), result.output)
    XCTAssertEqual(RecordingConsole.run("bench accuracy --function lug").code, 1)
  }
}
