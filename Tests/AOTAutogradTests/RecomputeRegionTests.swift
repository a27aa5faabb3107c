import AOTAutograd
import Partitioning
import XCTest

final class RecomputeRegionTests: XCTestCase {
  private func tensors() throws -> [Tensor] {
    try (0..<3).map { try wave([4, 4], from: Double($0), requiresGrad: true) }
  }

  private func assertAgrees(_ body: @escaping ([Tensor]) throws -> [Tensor], line: UInt = #line) throws {
    try assertCompiledAgrees({ CallArguments(try self.tensors()) }, line: line, body)
  }

  /// What is saved besides inputs, by the name of the operator that made it.
  private func saved(
    _ body: @escaping ([Tensor]) throws -> [Tensor], by partitioner: AOTConfiguration.PartitionerChoice = .minCut
  ) throws -> [String] {
    let stages = try aotFunction(configuration: AOTConfiguration(partitioner: partitioner), body).stages(tensors())
    return try XCTUnwrap(stages.partitionReport).saved.map(\.origin).filter { $0 != "input" }
  }

  func testRegionsDecideWhatIsSaved() throws {
    let whole: ([Tensor]) throws -> [Tensor] = { t in
      try recomputeRegion(.mustRecompute) { [try t[0].matmul(t[1]).tanh().matmul(t[2])] }
    }
    let product: ([Tensor]) throws -> [Tensor] = { t in
      [try recomputeRegion(.mustRecompute) { try t[0].matmul(t[1]).sin() }.cos()]
    }
    let nested: ([Tensor]) throws -> [Tensor] = { t in
      let inner = try recomputeRegion(.mustRecompute) {
        try recomputeRegion(.mustSave) { try t[0].sin().matmul(t[1]) }.exp()
      }
      return [try inner * 2]
    }
    for choice in [AOTConfiguration.PartitionerChoice.minCut, .default] {
      XCTAssertEqual(try saved(whole, by: choice), [])
      XCTAssertEqual(try saved(product, by: choice), [])
      XCTAssertEqual(try saved(nested, by: choice).filter { $0 == "aten.exp.default" }, [])
      XCTAssertEqual(try saved(nested, by: choice).filter { $0 == "aten.mm.default" }, ["aten.mm.default"])
    }
    for body in [whole, product, nested] { try assertAgrees(body) }
  }

  func testWhatCrossesFromRegionToRegionIsSaved() throws {
    let body: ([Tensor]) throws -> [Tensor] = { t in
      let first = try checkpoint { try t[0].matmul(t[1]).sin().exp() }
      let second = try checkpoint { try first.matmul(t[2]).cos().tanh() }
      return [try second * 3]
    }
    XCTAssertEqual(try saved(body), ["aten.exp.default"])
    XCTAssertEqual(try saved(body, by: .default), ["aten.exp.default"])
    try assertAgrees(body)
  }

  func testRegionsNumberCallsInTheText() throws {
    let compiled = aotFunction { (x: Tensor) -> Tensor in
      let first = try recomputeRegion(.preferSave) { try x.sin() }
      return try recomputeRegion(.mustRecompute) { try recomputeRegion(.preferRecompute) { try first.cos() }.exp() }
    }
    let text = try recomputeRegion(.mustSave) { try compiled.stages(tensors()[0]).captured.description }
    XCTAssertTrue(text.contains("aten.sin.default(arg0) @prefer_save(1)"), text)
    XCTAssertTrue(text.contains("aten.cos.default(sin) @prefer_recompute(2)"), text)
    XCTAssertTrue(text.contains("aten.exp.default(cos) @must_recompute(2)"), text)
    XCTAssertEqual(try Graph(parsing: text, operators: OperatorLibrary.table).description, text)
  }

  func testARegionThatWritesToAnInputKeepsWhatItOverwrote() throws {
    try assertCompiledAgrees({ [try Tensor.ones([4, 4]), try self.tensors()[0]] }) { t in
      let y = try checkpoint { try (t[0] * t[1]).sin() }
      try t[0].mul_(2)
      return [y]
    }
  }
}
