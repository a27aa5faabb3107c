import AOTAutograd
import XCTest

@testable import aot

/// Compiled training is eager training: the same losses, step by step.
final class TrainingCurveTests: XCTestCase {
  func testAHundredStepsOnDigits() throws {
    func losses(_ configuration: AOTConfiguration) throws -> [Double] {
      let training = try DigitsTraining(
        DigitsMLP.self, seed: 1, rate: 0.05, momentum: 0.9, configuration: configuration)
      var random = SeededRandom(seed: 2)
      let batches = try Digits.split().training.batches(of: 12, shuffledBy: &random)
      return try batches.prefix(100).map { try training.step($0).loss }
    }
    let compiled = try losses(AOTConfiguration())
    let eager = try losses(AOTConfiguration(compiler: .none))
    XCTAssertEqual(compiled.count, 100)
    for (step, (a, b)) in zip(compiled, eager).enumerated() {
      XCTAssertLessThan(abs(a - b), 1e-4 * abs(b), "step \(step)")
    }
    XCTAssertLessThan(compiled.suffix(10).reduce(0, +), 0.5 * compiled.prefix(10).reduce(0, +))
  }
}
