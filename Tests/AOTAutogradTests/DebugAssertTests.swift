import AOTAutograd
import AOTAutogradTesting
import XCTest

/// Compilers that do not keep to the graph: what is checked on request, and what is put right always.
final class DebugAssertTests: XCTestCase {
  /// Interprets graphs, and changes what comes out.
  private struct Changing: GraphCompiler {
    let name = "changing"
    let change: @Sendable (_ arguments: [Value], _ results: [Value]) throws -> [Value]

    func compile(_ module: GraphModule, role: GraphRole) -> any CompiledGraph {
      Graph(inner: InterpretCompiler().compile(module, role: role), change: change)
    }

    private final class Graph: CompiledGraph, @unchecked Sendable {
      let inner: any CompiledGraph
      let change: @Sendable ([Value], [Value]) throws -> [Value]
      var workspaceByteCount: Int? { nil }
      init(inner: any CompiledGraph, change: @escaping @Sendable ([Value], [Value]) throws -> [Value]) {
        self.inner = inner
        self.change = change
      }
      func run(_ arguments: [Value]) throws -> [Value] { try noGrad { try change(arguments, inner.run(arguments)) } }
    }
  }

  private func configuration(
    _ change: @escaping @Sendable (_ arguments: [Value], _ results: [Value]) throws -> [Value]
  ) -> AOTConfiguration {
    let changing = Changing(change: change)
    return AOTConfiguration(
      compiler: .custom(forward: changing, backward: InterpretCompiler(), inference: changing), debugAssertions: true)
  }

  private func assertNames(
    _ invariant: String, _ configuration: AOTConfiguration, _ body: @escaping (Tensor) throws -> Tensor,
    line: UInt = #line
  ) throws {
    let x = try wave([2, 3])
    XCTAssertThrowsError(try aotFunction(configuration: configuration) { (x: Tensor) in try body(x) }(x), line: line) {
      XCTAssertTrue("\($0)".contains(invariant), "\($0)", line: line)
    }
  }

  func testAResultThatIsAnArgument() throws {
    try assertNames("output 0 shares no memory", configuration { arguments, _ in [arguments[0]] }) { try $0 + 0 }
  }

  func testAWriteThatNobodyAskedFor() throws {
    let writing = configuration { arguments, results in
      _ = try arguments[0].reference?.zero_()
      return results
    }
    try assertNames("input 0 is not written to", writing) { try $0 + 1 }
  }

  func testAResultOfAnotherType() throws {
    let converting = configuration { _, results in
      try results.map { try $0.map { .reference(try $0.to(.float64)) } }
    }
    try assertNames("output 0 is float32", converting) { try $0 + 1 }
  }

  func testWhatHoldsIsNotInTheWay() throws {
    let function = aotFunction(configuration: .init(debugAssertions: true)) { (x: Tensor) in try x.add_(1).t() }
    XCTAssertEqual(try function(wave([2, 3])).shape, [3, 2])
    XCTAssertTrue(try function.stages(wave([2, 3])).wrappers.contains("debug assert"))
    XCTAssertFalse(try aotFunction { (x: Tensor) in try x + 1 }.stages(wave([2])).wrappers.contains("debug assert"))
  }

  func testResultsWithOtherStridesGetThoseOfTheGraph() throws {
    let transposing = configuration { _, results in
      try results.map { value in
        try value.map { tensor in
          tensor.rank == 2 ? .reference(try tensor.t().clone(memoryFormat: .contiguous).t()) : .reference(tensor)
        }
      }
    }
    let calls = [CheckedCall { [try wave([2, 3], requiresGrad: true)] }, CheckedCall { [try wave([2, 3]).t()] }]
    try aotcheck(configuration: transposing, calls: calls) { [try $0[0].tanh(), try $0[0] * 2] }
  }
}
