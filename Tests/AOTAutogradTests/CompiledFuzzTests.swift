import AOTAutograd
import Foundation
import XCTest

/// Random programs do the same compiled as eagerly: results, aliasing, writes, gradients.
final class CompiledFuzzTests: XCTestCase {
  /// How many programs to try, and from which seed on; `AOT_FUZZ_COUNT` and `AOT_FUZZ_SEED` set others.
  private func setting(_ name: String, _ standard: Int) -> Int {
    ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? standard
  }

  func testRandomPrograms() {
    let first = setting("AOT_FUZZ_SEED", 1)
    var failureCount = 0
    for seed in first..<first + setting("AOT_FUZZ_COUNT", 200) where failureCount < 10 {
      let (name, configuration) = comparedConfigurations[seed % comparedConfigurations.count]
      let program = RandomProgram(seed: UInt64(seed))
      guard program.difference(configuration) != nil else { continue }
      failureCount += 1
      let shrunk = program.shrunk { $0.difference(configuration) != nil }
      XCTFail("seed \(seed), \(name):\n\(shrunk.difference(configuration) ?? "")")
    }
  }
}
