import CPUBackend
import Foundation
import LoopIR
import TensorCore
import XCTest

/// One executable, run by several threads at once, each with memory of its own.
final class ConcurrencyTests: XCTestCase {
  func testConcurrentRuns() throws {
    var builder = LoopBuilder()
    let (m, n) = (96, 600)
    let x = dense(&builder, .float32, [m, n])
    let rows = 12
    let product = builder.temporary(.float32, [rows, rows])
    let total = dense(&builder, .float32, [rows])
    let top = x.viewed(as: [rows, n], strides: [n, 1], offset: 0)
    builder.matmul(top, top.permuted([1, 0]), to: product)
    builder.reduce(.sum, [product], over: [1], to: total, accumulating: .float32) { tanh($0[0] * 0.01) }
    let activated = dense(&builder, .float32, [m, n])
    builder.pointwise([x], to: activated) { exp($0[0]) * $0[0] }
    let executable = try CPUBackend.shared.compile(builder.program.fused())

    nonisolated(unsafe) var results = [[Double]?](repeating: nil, count: 8)
    let lock = NSLock()
    let group = DispatchGroup()
    for thread in 0..<8 {
      DispatchQueue.global().async(group: group) {
        var random = Random(7)
        let externals = [random.memory(.float32, m * n), Memory(.float32, rows), Memory(.float32, m * n)]
        for _ in 0..<5 { try? execute(executable, externals) }
        let result = externals[1].values + externals[2].values
        lock.withLock { results[thread] = result }
      }
    }
    group.wait()
    for result in results { XCTAssertEqual(result, results[0]) }
    XCTAssertNotNil(results[0])
  }
}
