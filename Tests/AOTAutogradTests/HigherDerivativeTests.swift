import AOTAutograd
import XCTest

/// Gradients of gradients of compiled functions.
final class HigherDerivativeTests: XCTestCase {
  /// Compares the gradients of the arguments with eager ones, order by order.
  private func assertAgrees(
    _ arguments: () throws -> [Tensor], orders: Int = 3, line: UInt = #line,
    _ body: @escaping ([Tensor]) throws -> Tensor
  ) throws {
    func gradients(_ function: ([Tensor]) throws -> Tensor) throws -> [[Double]] {
      let leaves = try arguments()
      var value = try function(leaves).sum()
      return try (1...orders).flatMap { order in
        let found = try grad(of: [value], with: leaves, createGraph: order < orders, allowUnused: true)
        let present = found.compactMap(\.self)
        value = try present.dropFirst().reduce(present[0].sum()) { try $0 + $1.square().sum() }
        return found.map { $0.map(CallRecord.values) ?? [] }
      }
    }
    let eager = try gradients(body)
    for (name, configuration) in comparedConfigurations {
      let function = aotFunction(configuration: configuration) { (tensors: [Tensor]) in try body(tensors) }
      for call in 1...2 {
        let compiled = try gradients { try function($0) }
        XCTAssertEqual(compiled.map(\.count), eager.map(\.count), name, line: line)
        for (a, b) in zip(compiled.joined(), eager.joined()) {
          XCTAssertEqual(a, b, accuracy: 1e-4 * max(1, abs(b)), "\(name), call \(call)", line: line)
        }
      }
    }
  }

  func testPointwiseFunctionsToTheThirdOrder() throws {
    try assertAgrees({ [try wave([4], requiresGrad: true)] }) { try $0[0].sin() * $0[0].square() }
    try assertAgrees({ [try wave([3], requiresGrad: true), try wave([3], from: 1, requiresGrad: true)] }) {
      try ($0[0] * $0[1]).tanh() + $0[1].exp()
    }
  }

  func testProductsAndViews() throws {
    try assertAgrees({ [try wave([2, 3], requiresGrad: true), try wave([3, 2], from: 1, requiresGrad: true)] }) {
      try $0[0].matmul($0[1]).tanh().t()[1] * $0[0][0][1]
    }
    try assertAgrees({ [try wave([2, 3], requiresGrad: true)] }) { try $0[0].softmax(1) * $0[0] }
  }

  func testAPenaltyOnGradientsReachesParameters() throws {
    func penalty(_ layer: (Tensor, Tensor) throws -> Tensor) throws -> [Double] {
      let (x, w) = (try wave([3, 2], requiresGrad: true), try wave([2, 2], from: 1, requiresGrad: true))
      try grad(of: layer(x, w).sum(), with: x, createGraph: true).square().sum().backward()
      return CallRecord.values(try XCTUnwrap(w.grad))
    }
    let body = { (x: Tensor, w: Tensor) in try x.matmul(w).tanh() }
    let eager = try penalty(body)
    for (name, configuration) in comparedConfigurations {
      let layer = aotFunction(configuration: configuration, body)
      for (a, b) in zip(try penalty { try layer($0, $1) }, eager) { XCTAssertEqual(a, b, accuracy: 1e-5, name) }
    }
  }

  private struct Square: DifferentiableFunction {
    func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor] {
      context.save(inputs[0])
      return [try inputs[0].square()]
    }
    func backward(_ gradients: [Tensor?], _ context: FunctionContext) throws -> [Tensor?] {
      [try gradients[0].map { try $0 * context.savedTensors()[0] * 2 }]
    }
  }

  func testFunctionsWithGradientsOfTheirOwnAreRefusedWithTheWayOut() throws {
    let x = try wave([3], requiresGrad: true)
    let function = aotFunction { (x: Tensor) in try Square()(x) }
    XCTAssertThrowsError(try grad(of: function(x).sum(), with: x, createGraph: true)) {
      XCTAssertEqual(($0 as? AutogradError)?.code, .notDifferentiable)
      XCTAssertTrue("\($0)".contains("uncompiled"), "\($0)")
    }
    XCTAssertEqual(try CallRecord.values(grad(of: function(x).sum(), with: x)), CallRecord.values(try x * 2))
  }
}
