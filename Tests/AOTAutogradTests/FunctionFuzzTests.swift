import AOTAutograd
import AOTAutogradTesting
import Conformance
import XCTest

/// A sample of what `aot fuzz functions` does, and the smallest forms of what it has found.
final class FunctionFuzzTests: XCTestCase {
  func testRandomFunctionsForTheCPU() { check(AOTConfiguration.Compiler.cpu, seed: 1) }

  func testRandomFunctionsInterpreted() { check(AOTConfiguration.Compiler.interpret, seed: 1) }

  private func check(_ compiler: AOTConfiguration.Compiler, seed: UInt64) {
    let report = FunctionFuzzer(seed: seed, compiler: compiler).run(0..<100, threadCount: 2, maximumFailureCount: 3)
    for failure in report.failures { XCTFail("case \(failure.number): \(failure.differences)\n\(failure.test)") }
    XCTAssertGreaterThan(report.agreeing, 70)
    XCTAssertEqual(report.unmade, 0)
  }

  /// A difference is found, made small and written as a test.
  func testADifferenceIsReported() throws {
    struct Wrong: GraphCompiler {
      let name = "wrong"
      func compile(_ module: GraphModule, role: GraphRole) -> any CompiledGraph {
        Zeros(inner: InterpretCompiler().compile(module, role: role))
      }
      final class Zeros: CompiledGraph, @unchecked Sendable {
        let inner: any CompiledGraph
        var workspaceByteCount: Int? { nil }
        init(inner: any CompiledGraph) { self.inner = inner }
        func run(_ arguments: [Value]) throws -> [Value] {
          let results = try inner.run(arguments)
          for case .reference(let tensor) in results { _ = try noGrad { try tensor.zero_() } }
          return results
        }
      }
    }
    let wrong = Wrong()
    let fuzzer = FunctionFuzzer(
      seed: 1, compiler: .custom(forward: wrong, backward: InterpretCompiler(), inference: wrong))
    let failure = try XCTUnwrap(fuzzer.run(0..<20, maximumFailureCount: 1).failures.first)
    XCTAssertTrue(failure.differences.contains("elements"), failure.differences)
    XCTAssertTrue(failure.test.contains("try aotcheck("), failure.test)
    XCTAssertLessThan(failure.test.split(separator: "\n").count, 40, failure.test)
  }

  // MARK: - Found

  private func check(
    _ arguments: @escaping () throws -> CheckedCall.Arguments, line: UInt = #line,
    _ body: @escaping ([Tensor]) throws -> [Tensor?]
  ) {
    for (name, configuration) in comparedConfigurations {
      XCTAssertNoThrow(
        try aotcheck(configuration: configuration, calls: [CheckedCall(arguments)], body), name, line: line)
    }
  }

  func testAViewWithoutGradOfAComputedTensorRequiresGrad() {
    check({ [try wave([2, 1], requiresGrad: true)] }) { arguments in
      let computed = try arguments[0] * 2
      return [try noGrad { try computed.view([2]) }]
    }
  }

  func testAnOutputThatIsAViewMadeBeforeAWrite() {
    check({
      let leaf = try wave([3, 4], requiresGrad: true)
      return .init([try leaf.split(2)[1]], behind: [leaf])
    }) { arguments in
      let view = try arguments[0].alias()
      try noGrad { _ = try arguments[0].mul_(2) }
      return [view]
    }
  }

  func testTheLayoutOfAViewOfAnArgumentChanges() {
    check({ [try wave([3, 1])] }) { arguments in
      let view = try arguments[0].detach()
      try view.squeeze_(1)
      return [view]
    }
  }

  func testAGradientOfBagsWithoutDimensionsIsRefused() throws {
    let (x, indices) = (Value.reference(try wave([])), Value.reference(try Tensor([0] as [Int64])))
    let backward = try OperatorLibrary.named("aten._embedding_bag_dense_backward.default")
    XCTAssertThrowsError(try backward(x, indices, indices, indices, indices, .int(1), .bool(false), .int(2), .none))
  }

  func testAScanInPlaceKeepsItsType() throws {
    let x = try wave([3])
    XCTAssertThrowsError(try OperatorLibrary.named("aten.cumsum_.default")(.reference(x), .int(0), .dtype(.int8)))
  }
}
