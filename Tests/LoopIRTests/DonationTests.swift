import LoopIR
import TensorCore
import XCTest

/// Programs that put what they compute into memory of the caller's that nobody needs any more.
final class DonationTests: XCTestCase {
  func testAResultIsWrittenOverWhatItIsMadeOf() throws {
    var builder = LoopBuilder()
    let saved = dense(&builder, .float32, [100])
    let result = dense(&builder, .float32, [100])
    builder.pointwise([saved], to: result) { exp($0[0]) }
    var program = builder.program
    XCTAssertEqual(program.reuseMemory(of: [0], for: [1]), [1: 0])
    XCTAssertEqual(touched(program), [0])
  }

  func testNothingIsOverwrittenThatWasNotDonated() {
    var builder = LoopBuilder()
    let saved = dense(&builder, .float32, [100])
    let result = dense(&builder, .float32, [100])
    builder.pointwise([saved], to: result) { exp($0[0]) }
    var program = builder.program
    XCTAssertEqual(program.reuseMemory(of: [], for: [1]), [:])
    XCTAssertEqual(touched(program), [0, 1])
  }

  func testAProductIsNotWrittenOverItsOperands() {
    var builder = LoopBuilder()
    let (left, right) = (dense(&builder, .float32, [8, 8]), dense(&builder, .float32, [8, 8]))
    let (first, second) = (dense(&builder, .float32, [8, 8]), dense(&builder, .float32, [8, 8]))
    builder.matmul(left, right, to: first)
    builder.matmul(left, left, to: second)
    var program = builder.program
    // Only the right operand is free when the second product is written.
    XCTAssertEqual(program.reuseMemory(of: [0, 1], for: [2, 3]), [3: 1])
  }

  func testResultsTakeMemoryOfTheirSizeOnly() {
    var builder = LoopBuilder()
    let saved = dense(&builder, .float32, [10, 10])
    let rows = dense(&builder, .float32, [10])
    let numbers = dense(&builder, .int32, [100])
    let source = dense(&builder, .int32, [100])
    builder.reduce(.sum, [saved], over: [1], to: rows, accumulating: .float32)
    builder.copy(source, to: numbers)
    var program = builder.program
    // Of another type, but of as many bytes.
    XCTAssertEqual(program.reuseMemory(of: [0], for: [1, 2]), [2: 0])
    XCTAssertNoThrow(try program.validate())
  }

  func testTemporariesLeaveTheArena() throws {
    var builder = LoopBuilder()
    let (saved, x) = (dense(&builder, .float32, [10, 10]), dense(&builder, .float32, [9, 9]))
    let column = dense(&builder, .float32, [9])
    let (a, b) = (builder.temporary(.float32, [9, 9]), builder.temporary(.float32, [9, 9]))
    builder.reduce(
      .sum, [x, saved.viewed(as: [9, 9], strides: [10, 1], offset: 11)], over: [1], to: column, accumulating: .float32
    ) { $0[0] * $0[1] }
    builder.matmul(x, x, to: a)
    builder.matmul(a, x, to: b)
    builder.reduce(.sum, [b], over: [1], to: column, accumulating: .float32)
    var program = builder.program
    let byteCount = MemoryPlan(program).byteCount
    XCTAssertEqual(program.reuseMemory(of: [0], for: [2]), [:])
    XCTAssertEqual(MemoryPlan(program).byteCount, byteCount / 2)
    // A place that nothing reads is free from the beginning.
    XCTAssertEqual(program.reuseMemory(of: [1, 3], for: []), [:])
  }

  /// Externals that no kernel writes are donated, and what it only writes is new: everything is computed as before.
  func testRandomProgramsComputeTheSame() throws {
    var random = Random(11)
    var (places, saved) = (0, 0)
    for seed in 0..<400 {
      var generator = ProgramGenerator(seed: UInt64(seed))
      let program = seed % 4 == 0 ? generator.program().program : generator.program().program.fused()
      let externals = program.buffers.filter { $0.role != .temporary }.map { random.memory($0.dtype, $0.elementCount) }
      let inputs = 0..<5
      let results = Array(inputs.upperBound..<externals.count)
      var donating = program
      let homes = donating.reuseMemory(of: inputs.filter { !isWritten($0, program) }, for: results)
      try donating.validate()

      let (expected, got) = (externals.map { $0.copy() }, externals.map { $0.copy() })
      try execute(program, expected)
      try execute(donating, got)
      let kept = inputs.filter { isWritten($0, program) } + results
      compare(
        kept.map { got[homes[$0] ?? $0] }, kept.map { expected[$0] }, tolerance: 0,
        "seed \(seed)\n\(program)\n\(donating)")
      places += homes.count
      saved += MemoryPlan(program).byteCount - MemoryPlan(donating).byteCount
      XCTAssertLessThanOrEqual(MemoryPlan(donating).byteCount, MemoryPlan(program).byteCount, "seed \(seed)")
    }
    XCTAssertGreaterThan(places, 100)
    XCTAssertGreaterThan(saved, 10_000)
  }

  private func isWritten(_ position: Int, _ program: LoopProgram) -> Bool {
    var result = false
    for kernel in program.kernels {
      kernel.forEachBuffer { buffer, isWritten in
        if isWritten, program.buffers[buffer.index].role == .external(position) { result = true }
      }
    }
    return result
  }

  private func touched(_ program: LoopProgram) -> Set<Int> {
    var result: Set<Int> = []
    for kernel in program.kernels { kernel.forEachBuffer { buffer, _ in result.insert(buffer.index) } }
    return result
  }
}
