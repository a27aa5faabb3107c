import LoopIR
import TensorCore
import XCTest

/// Programs that change a part of a copy and copy that back change the part in place.
final class CopyElisionTests: XCTestCase {
  /// `cache[2..<4] = new`, as a functional program has it: a copy of all, a write to its part, a copy back.
  private func update(_ readOld: (inout LoopBuilder, Operand) -> Void = { _, _ in }) -> LoopProgram {
    var builder = LoopBuilder()
    let cache = dense(&builder, .float32, [6, 3])
    let new = dense(&builder, .float32, [2, 3])
    let changed = builder.temporary(.float32, [6, 3])
    builder.copy(cache, to: changed)
    builder.copy(new, to: changed.viewed(as: [2, 3], strides: [3, 1], offset: 6))
    readOld(&builder, cache)
    builder.copy(changed, to: cache)
    return builder.program
  }

  private func check(_ program: LoopProgram, line: UInt = #line) throws -> [Int] {
    let fused = program.fused()
    try fused.validate()
    var random = Random(7)
    let externals = program.buffers.filter { $0.role != .temporary }.map { random.memory($0.dtype, $0.elementCount) }
    let expected = externals.map { $0.copy() }
    Reference.run(program, externals: expected)
    try execute(fused, externals)
    compare(externals, expected, "\(fused)", line: line)
    // The elements that each store writes.
    return fused.kernels.flatMap { kernel -> [Int] in
      guard case .loop(let loop) = kernel else { return [] }
      return loop.stores.map { _ in loop.outerSizes.reduce(1, *) }
    }
  }

  func testOnlyThePartIsWritten() throws { XCTAssertEqual(try check(update()), [6]) }

  func testTheWholeIsCopiedWhereTheOldValueIsStillRead() throws {
    let written = try check(
      update { builder, cache in
        let result = dense(&builder, .float32, [6, 3])
        builder.pointwise([cache], to: result) { $0[0] * 2 }
      })
    XCTAssertGreaterThan(written.reduce(0, +), 18 + 6)
  }

  func testSeveralPartsInTurn() throws {
    var builder = LoopBuilder()
    let cache = dense(&builder, .float32, [6, 3])
    var current = cache
    for row in 0..<3 {
      let new = dense(&builder, .float32, [3])
      let next = builder.temporary(.float32, [6, 3])
      builder.copy(current, to: next)
      builder.copy(new, to: next.viewed(as: [3], strides: [1], offset: 3 * row))
      current = next
    }
    builder.copy(current, to: cache)
    XCTAssertEqual(try check(builder.program).reduce(0, +), 9)
  }
}
