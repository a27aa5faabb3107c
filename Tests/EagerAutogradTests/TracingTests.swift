import EagerAutograd
import GraphIR
import Operators
import TensorCore
import XCTest

/// Autograd while operator calls are recorded as a graph: on fake tensors, whose elements nobody can read.
final class TracingTests: XCTestCase {
  private let tracer = GraphTracer()

  private func input(_ shape: [Int], requiresGrad: Bool = true) throws -> Tensor {
    let meta = TensorMeta(dtype: .float64, sizes: [SymInt](shape))
    let tensor = try tracer.placeholder("input", meta, descriptor: nil)
    return requiresGrad ? try tensor.requiringGrad() : tensor
  }

  /// The operators of the calls that the recorded output needs, in order.
  private func trace(_ body: () throws -> Tensor) throws -> [String] {
    let result = try tracer.recording(body)
    try tracer.output(.tuple([.reference(result)]))
    var graph = tracer.graph
    _ = try DeadCodeElimination().run(on: &graph)
    return graph.nodes.compactMap { graph[$0].target?.name.base }
  }

  func testGradientsOfGradientsAreRecorded() throws {
    let x = try input([2])
    let calls = try trace {
      let first = try grad(of: x.tanh().sum(), with: x, createGraph: true)
      return try grad(of: (first * first).sum(), with: x)
    }
    XCTAssertEqual(calls.first, "tanh")
    XCTAssertTrue(calls.count > 5, "\(calls)")
  }

  func testAWriteThroughAViewIsDifferentiated() throws {
    let x = try input([2, 3])
    let calls = try trace {
      let base = try x * 1
      try base.select(0, 1).mul_(base.select(0, 0).clone())
      return try grad(of: base.sum(), with: x)
    }
    XCTAssertTrue(calls.contains("copy_"), "\(calls)")
  }

  func testWritesAreRefusedAsTheyWouldBeOutside() throws {
    let x = try input([2])
    try tracer.recording {
      assertThrows(.leafInPlace) { try x.add_(1) }
      assertThrows(.viewInPlace) { try (x * 1).unbind()[0].mul_(2) }
      let y = try x * 2
      let z = try y * y
      try y.add_(1)
      assertThrows(.modifiedInPlace) { try grad(of: z.sum(), with: x) }
    }
  }

  func testWhatAGraphCannotHoldIsRefused() throws {
    let x = try input([2])
    tracer.recording { () -> Void in
      assertThrows(.notCapturable) { try (x * 2).sum().backward() }
    }
  }
}
