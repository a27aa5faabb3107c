import LoopIR
import TensorCore
import XCTest

final class MatmulTests: XCTestCase {
  private func check(
    _ dtype: DType, batch: [Int] = [], _ m: Int, _ n: Int, _ k: Int,
    transposed: (Bool, Bool, Bool) = (false, false, false),
    alpha: Double = 1, beta: Double = 0, line: UInt = #line
  ) throws {
    var random = Random(UInt64(m * 10_000 + n * 100 + k))
    var builder = LoopBuilder()
    func matrix(_ rows: Int, _ columns: Int, _ isTransposed: Bool) -> Operand {
      let rank = batch.count
      return isTransposed
        ? dense(&builder, dtype, batch + [columns, rows]).permuted(Array(0..<rank) + [rank + 1, rank])
        : dense(&builder, dtype, batch + [rows, columns])
    }
    let a = matrix(m, k, transposed.0)
    let b = matrix(k, n, transposed.1)
    let c = matrix(m, n, transposed.2)
    builder.matmul(a, b, to: c, alpha: alpha, beta: beta)
    let counts = [a, b, c].map(\.elementCount)
    let externals = counts.map { random.memory(dtype, $0) }
    // Sums of k products of numbers up to 3.
    let tolerance = dtype.isFloatingPoint ? dtype.tolerance * 8 + 1e-12 : 0
    let expected = externals.map { $0.copy() }
    Reference.run(builder.program, externals: expected)
    try execute(builder.program, externals)
    for i in 0..<counts[2] {
      let (x, y) = (externals[2][i].asDouble, expected[2][i].asDouble)
      if abs(x - y) > tolerance * max(abs(y), Double(k)) {
        return XCTFail("\(dtype) \(batch) \(m)x\(n)x\(k) \(transposed) [\(i)]: got \(x), expected \(y)", line: line)
      }
    }
  }

  func testShapes() throws {
    for (m, n, k) in [
      (0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 1, 1), (1, 17, 5), (17, 1, 5), (6, 8, 4), (7, 9, 11), (13, 33, 21),
      (20, 10, 30),
      (2, 40, 30),
    ] {
      for dtype in [DType.float32, .float64] {
        for bits in 0..<8 { try check(dtype, m, n, k, transposed: (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0)) }
      }
    }
  }

  func testTypes() throws {
    for dtype in DType.allCases where dtype != .bool {
      try check(dtype, 5, 7, 9)
      try check(dtype, 30, 20, 25, transposed: (true, false, false))
      try check(dtype, batch: [2], 4, 3, 5, alpha: 2, beta: 3)
    }
  }

  func testBatchesScalesAndThreads() throws {
    try check(.float32, batch: [3, 2], 9, 10, 11)
    try check(.float32, batch: [2], 40, 30, 20, transposed: (false, true, false), alpha: 0.5, beta: 2)
    // More than a block of k, more than a block of columns, enough work for threads.
    try check(.float32, 16, 70, 400, alpha: -1, beta: 1)
    try check(.float32, 7, 530, 20)
    try check(.float32, 80, 70, 80)
    try check(.float64, 9, 10, 400, beta: 1)
    try check(.float16, 20, 25, 30, beta: 1)
  }

  func testBetaZeroIgnoresNaN() throws {
    for size in [3, 40] {
      var builder = LoopBuilder()
      let a = dense(&builder, .float32, [size, size])
      let c = dense(&builder, .float32, [size, size])
      builder.matmul(a, a, to: c)
      let result = Memory(.float32, [Double](repeating: .nan, count: size * size))
      try execute(builder.program, [Memory(.float32, [Double](repeating: 1, count: size * size)), result])
      XCTAssertEqual(result.values, [Double](repeating: Double(size), count: size * size))
    }
  }

  func testBoolIsRefused() {
    XCTAssertThrowsError(try check(.bool, 2, 2, 2))
  }
}
