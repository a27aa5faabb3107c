import CPUBackend
import LoopIR
import TensorCore
import XCTest

/// Iteration spaces of every kind, against one-at-a-time evaluation.
final class LoopKernelTests: XCTestCase {
  func testStridedBroadcastAndReversedLoads() throws {
    var random = Random(10)
    let shapes = [[], [1], [7], [3, 5], [2, 3, 4], [5, 1, 700], [2, 3, 2, 5], [600, 3], [0], [3, 0, 2]]
    for shape in shapes {
      var builder = LoopBuilder()
      let count = shape.reduce(1, *)
      let a = dense(&builder, .float32, shape)
      let reversed = a.viewed(
        as: shape, strides: a.strides.map(-), offset: zip(shape, a.strides).reduce(0) { $0 + max($1.0 - 1, 0) * $1.1 })
      let permuted = dense(&builder, .float32, shape.reversed()).permuted(Array(shape.indices.reversed()))
      let row = dense(&builder, .float32, shape.suffix(1))
      let scalar = dense(&builder, .float32, [])
      let output = dense(&builder, .float32, shape)
      builder.pointwise([a, reversed, permuted, row, scalar], to: output) {
        ($0[0] + $0[1] * $0[2]) * $0[3] - $0[4]
      }
      let externals = [
        random.memory(.float32, count), random.memory(.float32, count),
        random.memory(.float32, shape.last ?? 1), random.memory(.float32, 1), Memory(.float32, count),
      ]
      try assertMatchesReference(builder.program, externals, tolerance: 1e-5)
    }
  }

  /// A tile of few elements, where registers of four and of eight bytes per element take the same room.
  func testASelectOfWideConstantsKeepsItsCondition() throws {
    var builder = LoopBuilder()
    let output = dense(&builder, .float64, [2, 3])
    builder.pointwise([], to: output) { _ in select(.coordinate(0) .== .coordinate(1), 2.0, 0.0) }
    try assertMatchesReference(builder.program, [Memory(.float64, 6)])
  }

  func testStridedStoresAndCoordinates() throws {
    for dtype in DType.allCases {
      var builder = LoopBuilder()
      let output = dense(&builder, dtype, [6, 5, 4])
      builder.pointwise([], to: output.permuted([2, 0, 1])) { _ in
        .coordinate(0) * 100 + .coordinate(1) * 10 + .coordinate(2)
      }
      try assertMatchesReference(builder.program, [Memory(dtype, 120)])
    }
  }

  func testReductions() throws {
    var random = Random(11)
    let cases: [([Int], [Int])] = [
      ([5], [0]), ([3, 4], [0]), ([3, 4], [1]), ([3, 4], [0, 1]), ([2, 3, 4], [1]), ([2, 3, 4], [0, 2]),
      ([2, 3, 4], [1, 2]), ([700, 3], [0]), ([3, 700], [1]), ([2, 1500], [1]), ([150, 20], [0]),
      ([2, 2, 1030], [0, 2]),
      ([4, 5, 6, 7], [0, 2, 3]), ([3_000], [0]), ([1, 1], [0]), ([4, 600], [0]), ([2, 0], [0]), ([3, 1], [1]),
      ([3, 2, 600], [0, 1]), ([1100, 5], [0]),
    ]
    for dtype in [DType.float32, .float64, .int32, .int64, .float16, .bool, .uint8] {
      for (shape, dimensions) in cases {
        for operation in LoopKernel.Reduction.Operation.allCases {
          let count = shape.reduce(1, *)
          if operation == .product, count > 100 { continue }
          if dtype != .float32, count > 1000 { continue }
          if count == 0, operation.givesPosition || [.minimum, .maximum].contains(operation) { continue }
          var builder = LoopBuilder()
          let a = dense(&builder, dtype, shape)
          let kept = shape.indices.filter { !dimensions.contains($0) }.map { shape[$0] }
          let accumulating: DType = [.any, .all].contains(operation) ? .bool : dtype == .float16 ? .float32 : dtype
          let result: DType = operation.givesPosition ? .int64 : accumulating
          let output = dense(&builder, result, kept)
          builder.reduce(operation, [a], over: dimensions, to: output, accumulating: accumulating)
          let externals = [random.memory(dtype, count), Memory(result, kept.reduce(1, *))]
          try assertMatchesReference(builder.program, externals, tolerance: 2e-3, "\(operation) \(dtype)")
        }
      }
    }
  }

  func testLargeSumsAreAccurate() throws {
    for (shape, dimension) in [([1, 1_000_000], 1), ([300_000, 4], 0)] {
      var builder = LoopBuilder()
      let a = dense(&builder, .float32, shape)
      let output = dense(&builder, .float32, [shape[1 - dimension]])
      builder.reduce(.sum, [a], over: [dimension], to: output, accumulating: .float32)
      let count = shape.reduce(1, *)
      let input = Memory(.float32, [Double](repeating: 0.1, count: count))
      let result = Memory(.float32, shape[1 - dimension])
      try execute(builder.program, [input, result])
      let expected = Double(Float(0.1)) * Double(shape[dimension])
      for value in result.values { XCTAssertEqual(value, expected, accuracy: expected * 1e-6) }
    }
  }

  func testExtremaKeepNaNAndFirstPosition() throws {
    let rows: [[Double]] = [[1, 3, 3, 0, -1, 3, 2, 1, 0, 3], [1, .nan, 7, .nan, 9, 1, 1, 1, 1, 1]]
    for isColumn in [false, true] {
      for operation in [LoopKernel.Reduction.Operation.minimum, .maximum, .argmin, .argmax] {
        var builder = LoopBuilder()
        let a = dense(&builder, .float32, isColumn ? [10, 4] : [4, 10])
        let output = dense(&builder, operation.givesPosition ? .int64 : .float32, [4])
        builder.reduce(operation, [a], over: [isColumn ? 0 : 1], to: output, accumulating: .float32)
        let values = isColumn ? (0..<40).map { rows[$0 % 4 % 2][$0 / 4] } : rows[0] + rows[1] + rows[0] + rows[1]
        try assertMatchesReference(builder.program, [Memory(.float32, values), Memory(output.dtype, 4)])
      }
    }
  }

  func testRowKernelWithSeveralStages() throws {
    var random = Random(12)
    for (outer, reduced) in [([3], [7]), ([40], [16]), ([2, 3], [1000]), ([1], [9000]), ([5], [3, 4])] {
      for isColumn in [false, true] where reduced.count == 1 {
        var builder = LoopBuilder()
        let sizes = isColumn ? reduced + outer : outer + reduced
        let order =
          isColumn ? Array(1..<sizes.count) + [0] : Array(sizes.indices)
        let input = dense(&builder, .float32, sizes).permuted(order)
        let output = dense(&builder, .float32, sizes).permuted(order)
        let total = dense(&builder, .float32, outer)
        let kernel = LoopKernel(
          outerSizes: outer, reducedSizes: reduced, loads: [input.access],
          locals: [exp(.load(0) - .reduced(0))],
          reductions: [
            .init(.maximum, .load(0), dtype: .float32), .init(.sum, .local(0), dtype: .float32),
          ],
          stores: [
            .init(output.access, .local(0) / .reduced(1)), .init(total.access, .reduced(1) * 2, extent: .outer),
          ])
        builder.append(.loop(kernel))
        let count = sizes.reduce(1, *)
        let externals = [
          random.memory(.float32, count), Memory(.float32, count), Memory(.float32, outer.reduce(1, *)),
        ]
        try assertMatchesReference(builder.program, externals, tolerance: 5e-6)
      }
    }
  }

  func testGather() throws {
    var random = Random(13)
    var builder = LoopBuilder()
    let table = dense(&builder, .float32, [10, 6])
    let rows = dense(&builder, .int64, [33])
    let output = dense(&builder, .float32, [33, 6])
    builder.append(.loop(gather(table, rows, output)))
    let indices = Memory(.int64, (0..<33).map { Double($0 * 7 % 10) })
    try assertMatchesReference(builder.program, [random.memory(.float32, 60), indices, Memory(.float32, 198)])
  }

  func testIndexOutOfRangeThrowsBeforeAnythingIsWritten() throws {
    for bad in [10.0, -1, 1e15] {
      var builder = LoopBuilder()
      let table = dense(&builder, .float32, [10, 6])
      let rows = dense(&builder, .int64, [33])
      let output = dense(&builder, .float32, [33, 6])
      builder.append(.loop(gather(table, rows, output)))
      let indices = Memory(.int64, [Double](repeating: 1, count: 32) + [bad])
      let result = Memory(.float32, [Double](repeating: 5, count: 198))
      XCTAssertThrowsError(try execute(builder.program, [Memory(.float32, 60), indices, result])) {
        XCTAssertEqual(($0 as? LoopError)?.code, .indexOutOfRange)
      }
      XCTAssertEqual(result.values, [Double](repeating: 5, count: 198))
    }
  }

  private func gather(_ table: Operand, _ rows: Operand, _ output: Operand) -> LoopKernel {
    var access = LoopKernel.Access(buffer: table.buffer, dtype: table.dtype, strides: [0, table.strides[1]])
    access.indirections = [.init(index: .load(0), size: table.sizes[0], stride: table.strides[0])]
    var index = rows.access
    index.strides = [1, 0]
    return LoopKernel(
      outerSizes: output.sizes, loads: [index, access], stores: [.init(output.access, .load(1))])
  }

  func testStoresOfCollidingIndicesEachHaveTheirPart() throws {
    var random = Random(13)
    for mode in LoopKernel.Store.Mode.allCases where mode != .assign {
      for dtype in DType.allCases {
        var builder = LoopBuilder()
        let values = dense(&builder, dtype, [2000, 3])
        let rows = dense(&builder, .int64, [2000])
        let output = dense(&builder, dtype, [4, 3])
        var target = LoopKernel.Access(buffer: output.buffer, dtype: dtype, strides: [0, 1])
        target.indirections = [.init(index: .load(1), size: 4, stride: 3)]
        var index = rows.access
        index.strides = [1, 0]
        builder.append(
          .loop(
            LoopKernel(
              outerSizes: [2000, 3], loads: [values.access, index], stores: [.init(target, .load(0), mode: mode)])))
        var elements = random.values(dtype, 6000)
        if dtype.isFloatingPoint { elements[4000] = .nan }
        let externals = [
          Memory(dtype, elements), Memory(.int64, (0..<2000).map { Double($0 * $0 % 4) }), random.memory(dtype, 12),
        ]
        try assertMatchesReference(builder.program, externals, "\(mode) \(dtype)")
      }
    }
  }

  func testAccumulatingIntoOneElement() throws {
    var builder = LoopBuilder()
    let values = dense(&builder, .float64, [100])
    let output = dense(&builder, .float64, [])
    builder.pointwise([values], to: output.broadcast(to: [100]), mode: .accumulate) { $0[0] }
    let externals = [Memory(.float64, (0..<100).map(Double.init)), Memory(.float64, [1])]
    try assertMatchesReference(builder.program, externals)
  }

  func testInPlace() throws {
    var random = Random(14)
    var builder = LoopBuilder()
    let a = dense(&builder, .float32, [5000])
    builder.pointwise([a], to: a) { $0[0] * $0[0] + 1 }
    try assertMatchesReference(builder.program, [random.memory(.float32, 5000)])
  }

  func testMissingMemoryIsAnError() throws {
    var builder = LoopBuilder()
    let a = dense(&builder, .float32, [4])
    builder.fill(a, 1)
    let executable = try CPUBackend.shared.compile(builder.program)
    XCTAssertThrowsError(try executable.run(UnsafeBufferPointer(start: nil, count: 0)))
    try [UnsafeMutableRawPointer?.none].withUnsafeBufferPointer { none in
      XCTAssertThrowsError(try executable.run(none))
    }
  }

  func testHostKernel() throws {
    var builder = LoopBuilder()
    let a = dense(&builder, .float32, [4])
    let middle = builder.temporary(.float32, [4])
    builder.append(
      .host(
        HostKernel(name: "iota", inputs: [], outputs: [middle]) { _, outputs in
          for i in 0..<4 { outputs[0].storeBytes(of: Float(i), toByteOffset: 4 * i, as: Float.self) }
        }))
    builder.pointwise([middle], to: a) { $0[0] * 2 }
    let result = Memory(.float32, 4)
    try execute(builder.program, [result])
    XCTAssertEqual(result.values, [0, 2, 4, 6])
  }
}
