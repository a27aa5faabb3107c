import AOTAutograd
import XCTest

/// One compiled function, called, compiled and differentiated from several threads at once.
final class ConcurrencyTests: XCTestCase {
  func testThreadsShareOneCompiledFunction() throws {
    let function = aotFunction { (x: Tensor, w: Tensor) in try (x.matmul(w).tanh() * 2).sum() }
    let failures = Failures()
    DispatchQueue.concurrentPerform(iterations: 4) { thread in
      do {
        for round in 0..<20 {
          // Two shapes, so that threads find entries while others make them.
          let rows = 1 + (thread + round) % 2
          let x = try Tensor([Float](repeating: 0.5, count: rows * 2), shape: [rows, 2])
          let w = try Tensor([Float(thread), 1] as [Float], shape: [2, 1]).requiringGrad()
          try function(x, w).backward()
          let slope = 1 - tanh(0.5 * Float(thread) + 0.5) * tanh(0.5 * Float(thread) + 0.5)
          let gradient = try XCTUnwrap(w.grad).elements(as: Float.self)
          if abs(gradient[0] - Float(rows) * slope) > 1e-4 { failures.add("thread \(thread): \(gradient)") }
        }
      } catch {
        failures.add("\(error)")
      }
    }
    XCTAssertEqual(failures.all, [])
    XCTAssertEqual(function.entryCount, 2)
  }

  private final class Failures: @unchecked Sendable {
    private let lock = NSLock()
    private var messages: [String] = []

    func add(_ message: String) { lock.withLock { messages.append(message) } }
    var all: [String] { lock.withLock { messages } }
  }
}
