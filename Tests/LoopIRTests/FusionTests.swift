import LoopIR
import TensorCore
import XCTest

/// What fuses, and that it computes the same.
final class FusionTests: XCTestCase {
  /// Checks the fused program against the unfused one, both on the CPU and by the reference.
  @discardableResult
  private func check(
    _ builder: LoopBuilder, kernels: Int? = nil, tolerance: Double = 1e-5, line: UInt = #line
  ) throws -> LoopProgram {
    let program = builder.program
    let fused = program.fused()
    XCTAssertNoThrow(try fused.validate(), line: line)
    if let kernels { XCTAssertEqual(fused.kernels.count, kernels, "\(fused)", line: line) }
    var random = Random(99)
    let externals = program.buffers.filter { $0.role != .temporary }.map { buffer in
      buffer.dtype == .int64
        ? Memory(.int64, (0..<buffer.elementCount).map { _ in Double(Int.random(in: 0..<4, using: &random)) })
        : random.memory(buffer.dtype, buffer.elementCount)
    }
    let expected = externals.map { $0.copy() }
    Reference.run(program, externals: expected)
    let plain = externals.map { $0.copy() }
    try execute(program, plain)
    compare(plain, expected, tolerance: tolerance, "\(program)", line: line)
    try execute(fused, externals)
    compare(externals, expected, tolerance: tolerance, "\(program)\n--- fused:\n\(fused)", line: line)
    return fused
  }

  func testChainBecomesOneKernel() throws {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [4, 5])
    let y = dense(&builder, .float32, [4, 5])
    var value = x
    for _ in 0..<5 {
      let next = builder.temporary(.float32, [4, 5])
      builder.pointwise([value, x], to: next) { tanh($0[0]) * $0[1] + $0[0] }
      value = next
    }
    builder.pointwise([value], to: y) { $0[0] * 2 }
    try check(builder, kernels: 1)
  }

  func testALongChainBecomesSeveralKernels() throws {
    var builder = LoopBuilder()
    var value = dense(&builder, .float64, [3])
    let y = dense(&builder, .float64, [3])
    for _ in 0..<3000 {
      let next = builder.temporary(.float64, [3])
      builder.pointwise([value], to: next) { tanh($0[0]) }
      value = next
    }
    builder.pointwise([value], to: y) { $0[0] * 2 }
    XCTAssertLessThan(try check(builder).kernels.count, 100)
  }

  func testSoftmaxBecomesOneRowKernel() throws {
    for sizes in [[6, 9], [2, 3, 5]] {
      var builder = LoopBuilder()
      let x = dense(&builder, .float32, sizes)
      let y = dense(&builder, .float32, sizes)
      let last = sizes.count - 1
      let outer = Array(sizes.dropLast())
      let (largest, total) = (builder.temporary(.float32, outer), builder.temporary(.float32, outer))
      let powers = builder.temporary(.float32, sizes)
      func kept(_ operand: Operand) -> Operand {
        operand.viewed(as: outer + [1], strides: operand.strides + [1], offset: 0)
      }
      builder.reduce(.maximum, [x], over: [last], to: largest, accumulating: .float32)
      builder.pointwise([x, kept(largest)], to: powers) { exp($0[0] - $0[1]) }
      builder.reduce(.sum, [powers], over: [last], to: total, accumulating: .float32)
      builder.pointwise([powers, kept(total)], to: y) { $0[0] / $0[1] }
      try check(builder, kernels: 1)
    }
  }

  func testLayerNormBecomesOneRowKernel() throws {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [3, 4, 8])
    let scale = dense(&builder, .float32, [8])
    let y = dense(&builder, .float32, [3, 4, 8])
    let (mean, variance) = (builder.temporary(.float32, [3, 4]), builder.temporary(.float32, [3, 4]))
    func kept(_ operand: Operand) -> Operand { operand.viewed(as: [3, 4, 1], strides: [4, 1, 1], offset: 0) }
    builder.reduce(.sum, [x], over: [2], to: mean, accumulating: .float32) {
      $0[0]
    } finish: {
      $0 * 0.125
    }
    let centered = builder.temporary(.float32, [3, 4, 8])
    builder.pointwise([x, kept(mean)], to: centered) { $0[0] - $0[1] }
    builder.reduce(.sum, [centered], over: [2], to: variance, accumulating: .float32) {
      $0[0] * $0[0]
    } finish: {
      $0 * 0.125
    }
    let inverse = builder.temporary(.float32, [3, 4])
    builder.pointwise([variance], to: inverse) { rsqrt($0[0] + 1e-5) }
    builder.pointwise([centered, kept(inverse), scale], to: y) { $0[0] * $0[1] * $0[2] }
    try check(builder, kernels: 1)
  }

  func testBatchNormOverSeveralDimensions() throws {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [2, 9, 3, 3])
    let y = dense(&builder, .float32, [2, 9, 3, 3])
    let mean = builder.temporary(.float32, [9])
    builder.reduce(.sum, [x], over: [0, 2, 3], to: mean, accumulating: .float32)
    builder.pointwise([x, mean.viewed(as: [9, 1, 1], strides: [1, 1, 1], offset: 0)], to: y) { $0[0] - $0[1] }
    try check(builder, kernels: 1)
  }

  func testSiblingsShareTheirLoads() throws {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [30])
    let outputs = [dense(&builder, .float32, [30]), dense(&builder, .float32, [30])]
    builder.pointwise([x], to: outputs[0]) { exp($0[0]) }
    builder.pointwise([x], to: outputs[1]) { tanh($0[0]) }
    try check(builder, kernels: 1)
  }

  func testTransposedCopyGoesIntoMatmul() throws {
    var builder = LoopBuilder()
    let a = dense(&builder, .float32, [5, 4])
    let b = dense(&builder, .float32, [5, 6])
    let c = dense(&builder, .float32, [4, 6])
    let copy = builder.temporary(.float32, [4, 5])
    builder.copy(a.permuted([1, 0]), to: copy)
    builder.matmul(copy, b, to: c)
    try check(builder, kernels: 1)
  }

  func testReshapeBetweenKernels() throws {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [4, 6])
    let y = dense(&builder, .float32, [24])
    let permuted = builder.temporary(.float32, [6, 4])
    builder.pointwise([x.permuted([1, 0])], to: permuted) { exp($0[0]) }
    builder.pointwise([permuted.viewed(as: [24], strides: [1], offset: 0)], to: y) { $0[0] + 1 }
    try check(builder, kernels: 1)
  }

  func testFlippedAndSlicedReads() throws {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [10, 6])
    let y = dense(&builder, .float32, [4, 3])
    let doubled = builder.temporary(.float32, [10, 6])
    builder.pointwise([x], to: doubled) { $0[0] * 2 }
    builder.copy(doubled.viewed(as: [4, 3], strides: [-12, 2], offset: 9 * 6 + 1), to: y)
    try check(builder, kernels: 1)
  }

  func testBiasGradientJoinsItsProducer() throws {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [20, 12])
    let gradient = dense(&builder, .float32, [20, 12])
    let bias = dense(&builder, .float32, [12])
    builder.pointwise([x], to: gradient) { 1 - tanh($0[0]) * tanh($0[0]) }
    builder.reduce(.sum, [gradient], over: [0], to: bias, accumulating: .float32)
    try check(builder, kernels: 1)
  }

  func testWriteToWhatAnEarlierKernelReadKeepsOrder() throws {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [8])
    let y = dense(&builder, .float32, [8])
    let old = builder.temporary(.float32, [8])
    builder.copy(x, to: old)
    builder.pointwise([x], to: x) { $0[0] * 3 }
    builder.pointwise([old, x], to: y) { $0[0] + $0[1] }
    try check(builder)
  }

  func testShiftedReadOfAnInPlaceWriteStaysApart() throws {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [8])
    let y = dense(&builder, .float32, [7])
    builder.copy(x.viewed(as: [7], strides: [1], offset: 1), to: y)
    builder.pointwise([x], to: x) { $0[0] + 1 }
    builder.pointwise([x.viewed(as: [7], strides: [1], offset: 1), y], to: y) { $0[0] * $0[1] }
    try check(builder)
  }

  func testConcatenationAndPartialWrites() throws {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [3, 4])
    let y = dense(&builder, .float32, [6, 4])
    let both = builder.temporary(.float32, [6, 4])
    builder.pointwise([x], to: both.viewed(as: [3, 4], strides: [4, 1], offset: 0)) { exp($0[0]) }
    builder.pointwise([x], to: both.viewed(as: [3, 4], strides: [4, 1], offset: 12)) { -$0[0] }
    builder.pointwise([both], to: y) { $0[0] * 2 }
    try check(builder)
  }

  func testHalfPrecisionRoundsWhereItWasStored() throws {
    var builder = LoopBuilder()
    let x = dense(&builder, .float16, [64])
    let y = dense(&builder, .float32, [64])
    let middle = builder.temporary(.float16, [64])
    builder.pointwise([x], to: middle) { $0[0] / 3 }
    builder.pointwise([middle], to: y) { .cast(.float32, $0[0]) * 1000 }
    try check(builder, kernels: 1, tolerance: 1e-6)
  }

  func testGatherOfComputedIndices() throws {
    var builder = LoopBuilder()
    let table = dense(&builder, .float32, [9])
    let index = dense(&builder, .int64, [16])
    let y = dense(&builder, .float32, [16])
    let doubled = builder.temporary(.int64, [16])
    builder.pointwise([index], to: doubled) { $0[0] * 2 }
    var access = LoopKernel.Access(buffer: table.buffer, dtype: .float32, strides: [0])
    access.indirections = [.init(index: .load(0), size: 9, stride: 1)]
    builder.append(
      .loop(LoopKernel(outerSizes: [16], loads: [doubled.access, access], stores: [.init(y.access, exp(.load(1)))])))
    try check(builder, kernels: 1)
  }

  func testDeadWorkDisappears() throws {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [4, 4])
    let unused = builder.temporary(.float32, [4, 4])
    let product = builder.temporary(.float32, [4, 4])
    builder.pointwise([x], to: unused) { exp($0[0]) }
    builder.matmul(unused, unused, to: product)
    try check(builder, kernels: 0)
  }

  func testSkippedPassesLeaveTheProgram() {
    var builder = LoopBuilder()
    let x = dense(&builder, .float32, [4])
    for _ in 0..<2 { builder.pointwise([x], to: x) { $0[0] + 1 } }
    XCTAssertEqual(builder.program.fused().kernels.count, 1)
    XCTAssertEqual(builder.program.fused(skipping: ["merge-kernels"]).kernels.count, 2)
  }

  func testRandomPrograms() throws {
    for seed in 0..<300 {
      var generator = ProgramGenerator(seed: UInt64(seed))
      try check(generator.program(), tolerance: 2e-3)
      if (testRun?.failureCount ?? 0) > 0 { return XCTFail("seed \(seed)") }
    }
  }
}
