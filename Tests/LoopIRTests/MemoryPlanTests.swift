import LoopIR
import TensorCore
import XCTest

final class MemoryPlanTests: XCTestCase {
  func testEmptyProgramNeedsNoMemory() {
    XCTAssertEqual(MemoryPlan(LoopProgram()).byteCount, 0)
  }
}
