import LoopIR
import TensorCore
import XCTest

final class MemoryPlanTests: XCTestCase {
  func testEmptyProgramNeedsNoMemory() {
    XCTAssertEqual(MemoryPlan(LoopProgram()).byteCount, 0)
  }

  func testChainReusesOnePlace() {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [100])
    var value = x
    for _ in 0..<5 {
      let next = builder.temporary(.float32, [100])
      builder.pointwise([value], to: next) { exp($0[0]) }
      value = next
    }
    builder.copy(value, to: x)
    let plan = MemoryPlan(builder.program)
    // 400 bytes, rounded up to the alignment; each result is written over its input.
    XCTAssertEqual(plan.byteCount, 448)
    XCTAssertEqual(plan.offsets, [nil, 0, 0, 0, 0, 0])
  }

  func testInputReadAtOtherIndicesIsNotOverwritten() {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [10, 10])
    let a = builder.temporary(.float32, [10, 10])
    let b = builder.temporary(.float32, [10, 10])
    builder.pointwise([x], to: a) { exp($0[0]) }
    builder.pointwise([a, a.permuted([1, 0])], to: b) { $0[0] + $0[1] }
    builder.copy(b, to: x)
    let plan = MemoryPlan(builder.program)
    XCTAssertNotEqual(plan.offsets[a.buffer.index], plan.offsets[b.buffer.index])
  }

  func testProductsAreNotWrittenOverTheirInputs() {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [8, 8])
    let a = builder.temporary(.float32, [8, 8])
    let b = builder.temporary(.float32, [8, 8])
    builder.copy(x, to: a)
    builder.matmul(a, a, to: b)
    builder.copy(b, to: x)
    let plan = MemoryPlan(builder.program)
    XCTAssertNotEqual(plan.offsets[a.buffer.index], plan.offsets[b.buffer.index])
  }

  func testLiveTemporariesNeverOverlap() throws {
    for seed in 0..<200 {
      var generator = ProgramGenerator(seed: UInt64(seed))
      let program = seed % 2 == 0 ? generator.program().program : generator.program().program.fused()
      let plan = MemoryPlan(program)
      var lives: [(buffer: Int, first: Int, last: Int)] = []
      for buffer in program.buffers.indices where program.buffers[buffer].role == .temporary {
        let uses = program.kernels.indices.filter { index in
          var isUsed = false
          program.kernels[index].forEachBuffer { other, _ in isUsed = isUsed || other.index == buffer }
          return isUsed
        }
        guard let first = uses.first, let last = uses.last else {
          XCTAssertNil(plan.offsets[buffer])
          continue
        }
        lives.append((buffer, first, last))
      }
      for a in lives {
        let (start, size) = try place(a.buffer, program, plan)
        XCTAssertEqual(start % MemoryPlan.alignment, 0)
        XCTAssertLessThanOrEqual(start + size, plan.byteCount)
        // A buffer born where another dies may take its place: only what lives on both sides of a kernel must stay apart.
        for b in lives where b.buffer > a.buffer && b.first < a.last && a.first < b.last {
          let (other, otherSize) = try place(b.buffer, program, plan)
          XCTAssertTrue(start + size <= other || other + otherSize <= start, "seed \(seed): b\(a.buffer), b\(b.buffer)")
        }
      }
    }
  }

  private func place(_ buffer: Int, _ program: LoopProgram, _ plan: MemoryPlan) throws -> (Int, Int) {
    let size = program.buffers[buffer].elementCount * program.buffers[buffer].dtype.byteCount
    return (try XCTUnwrap(plan.offsets[buffer]), size)
  }

  /// The first store may lie over what the second one's value is loaded from.
  func testStoresComeAfterAllLoads() throws {
    var builder = LoopBuilder()
    let (a, b) = (builder.external(.int64, elementCount: 6), builder.external(.int64, elementCount: 6))
    let results = (0..<2).map { _ in builder.external(.int64, elementCount: 6) }
    func whole(_ buffer: BufferID) -> Operand { Operand(buffer: buffer, dtype: .int64, sizes: [6], strides: [1]) }
    let (dying, born) = (builder.temporary(.int64, [6]), builder.temporary(.int64, [6]))
    builder.copy(whole(a), to: dying)
    builder.append(
      .loop(
        LoopKernel(
          outerSizes: [6], loads: [whole(b).access, dying.access],
          stores: [.init(born.access, .load(0) * 2), .init(whole(results[0]).access, .load(0) + .load(1))])))
    builder.copy(born, to: whole(results[1]))
    let plan = MemoryPlan(builder.program)
    XCTAssertEqual(plan.offsets[born.buffer.index], plan.offsets[dying.buffer.index])
    var random = Random(1)
    try assertMatchesReference(builder.program, (0..<4).map { _ in random.memory(.int64, 6) })
  }
}
