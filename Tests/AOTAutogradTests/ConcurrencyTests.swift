import AOTAutograd
import XCTest

/// One compiled function, called, compiled and differentiated from several threads at once.
final class ConcurrencyTests: XCTestCase {
  /// How long the threads run: `AOT_CONCURRENCY_SECONDS` makes it a minute, under the thread sanitizer.
  private let duration = ProcessInfo.processInfo.environment["AOT_CONCURRENCY_SECONDS"].flatMap(Double.init) ?? 2

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

  /// Writes, gradients and gradients of gradients: functions are made anew, so that threads compile all the time.
  func testThreadsWriteAndDifferentiateWhileOthersCompile() throws {
    let failures = Failures()
    let deadline = Date(timeIntervalSinceNow: duration)
    repeat {
      let updating = aotFunction(Self.update)
      let smooth = aotFunction(Self.smooth)
      DispatchQueue.concurrentPerform(iterations: 8) { thread in
        do {
          for round in 0..<6 {
            let size = 1 + (thread + round) % 3
            let got = try Self.run(size, Double(thread), { try updating($0, $1) }, { try smooth($0) })
            let want = try Self.run(size, Double(thread), Self.update, Self.smooth)
            for (a, b) in zip(got, want) where abs(a - b) > 1e-4 * max(1, abs(b)) {
              failures.add("thread \(thread), size \(size): \(got), not \(want)")
            }
          }
        } catch {
          failures.add("thread \(thread): \(error)")
        }
      }
      XCTAssertEqual([updating.entryCount, smooth.entryCount], [3, 3])
    } while Date() < deadline && failures.all.isEmpty
    XCTAssertEqual(failures.all, [])
  }

  /// Writes to its second argument.
  private static func update(_ x: Tensor, _ buffer: Tensor) throws -> Tensor {
    try buffer.mul_(0.5).add_(x.detach())
    return try (x.matmul(x.t()).tanh() * 2).sum()
  }

  private static func smooth(_ x: Tensor) throws -> Tensor { try x.sin() * x.square() }

  /// All that comes of a call of each.
  private static func run(
    _ size: Int, _ start: Double, _ update: (Tensor, Tensor) throws -> Tensor, _ smooth: (Tensor) throws -> Tensor
  ) throws -> [Double] {
    let x = try wave([size, 2], from: start, requiresGrad: true)
    let buffer = try wave([size, 2])
    let loss = try update(x, buffer)
    try loss.backward()
    let first = try grad(of: smooth(x).sum(), with: x, createGraph: true)
    let second = try grad(of: first.square().sum(), with: x)
    return try [loss, buffer, XCTUnwrap(x.grad), first, second].flatMap(CallRecord.values)
  }

  private final class Failures: @unchecked Sendable {
    private let lock = NSLock()
    private var messages: [String] = []

    func add(_ message: String) { lock.withLock { messages.append(message) } }
    var all: [String] { lock.withLock { messages } }
  }
}
