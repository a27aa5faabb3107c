import AOTArtifacts
import EagerAutograd
import Functionalization
import GraphIR
import JointTracing
import Operators
import TensorCore
import XCTest

final class JointTracingTests: XCTestCase {
  private func joint(_ arguments: [Tensor], _ function: TestFunction) throws -> JointGraph {
    try functionalized(arguments, function).differentiated()
  }

  private func leaf(_ shape: [Int]) throws -> Tensor { try (counting(shape) * 0.1 + 0.3).detach().requiringGrad() }

  func testChainWithBroadcastAndReduction() throws {
    let traced = try joint([leaf([2, 3]), leaf([3])]) { [.reference(try ($0[0] * $0[1]).tanh().sum())] }
    XCTAssertEqual(
      skeleton(traced.module.graph),
      """
      primals_1: input
      primals_2: input
      tangents_1: input
      mul = mul.Tensor(primals_1, primals_2)
      tanh = tanh(mul)
      sum = sum(tanh)
      unsqueeze = unsqueeze(tangents_1, 0)
      unsqueeze_1 = unsqueeze(unsqueeze, 1)
      expand = expand(unsqueeze_1, [2, 3])
      tanh_backward = tanh_backward(expand, tanh)
      mul_1 = mul.Tensor(tanh_backward, primals_2)
      mul_2 = mul.Tensor(tanh_backward, primals_1)
      sum_1 = sum.dim_IntList(mul_2, [0], true)
      view = view(sum_1, [3])
      return (sum, mul_1, view)
      """)
    XCTAssertEqual(
      traced.module.graph.outputDescriptors, [.output(0), .gradient(of: .input(0)), .gradient(of: .input(1))])
    XCTAssertEqual(traced.differentiableOutputs, [0])
  }

  func testBackwardNodesKnowWhereTheyComeFrom() throws {
    let graph = try joint([leaf([2])]) { [.reference(try $0[0].tanh())] }.module.graph
    let node = try XCTUnwrap(graph.nodes.first { graph[metadata: $0].isBackward })
    XCTAssertEqual(graph[metadata: node].forwardNode, "tanh")
    XCTAssertEqual(graph[metadata: node].source?.file, "JointTracingTests.swift")
    for id in graph.nodes where !graph[metadata: id].isBackward { XCTAssertNil(graph[metadata: id].forwardNode) }
  }

  func testGradientsAreThoseOfTheTape() throws {
    let functions: [(String, [[Int]], TestFunction)] = [
      ("several uses", [[2, 3]], { [.reference(try $0[0] * $0[0] + $0[0].tanh())] }),
      ("broadcast", [[2, 3], [3], []], { [.reference(try ($0[0] + $0[1]) * $0[2])] }),
      ("reduction", [[2, 3]], { [.reference(try ($0[0] * $0[0]).sum([1], keepDimensions: true) / $0[0])] }),
      ("matmul", [[2, 3], [3, 4]], { [.reference(try $0[0].matmul($0[1]).tanh())] }),
      (
        "several outputs", [[2, 3]],
        {
          let y = try $0[0].tanh(); return [.reference(y), .reference(try y.sum())]
        }
      ),
      (
        "pieces", [[4, 2]],
        {
          let p = try $0[0].split(2); return [.reference(try p[0] * p[1])]
        }
      ),
      ("unused input", [[2], [3]], { [.reference(try $0[0] * 2)] }),
      ("no gradient", [[2], [2]], { a in [.reference(try a[0] * noGrad { try a[1].tanh() })] }),
      ("detached", [[2]], { [.reference(try $0[0].detach() * $0[0])] }),
    ]
    for (name, shapes, function) in functions {
      let (eager, leaves) = (try shapes.map(leaf), try shapes.map(leaf))
      let run = try staged(captured(leaves, function))
      let results = [try function(eager), try run(leaves)]
      for outputs in results {
        let total = try outputs.compactMap(\.reference).enumerated().map { try $1.sum() * Double($0 + 1) }
        try total.dropFirst().reduce(total[0]) { try $0 + $1 }.backward()
      }
      for (a, b) in zip(eager, leaves) {
        XCTAssertEqual(a.grad == nil, b.grad == nil, name)
        guard let a = a.grad, let b = b.grad else { continue }
        XCTAssertEqual(a.shape, b.shape, name)
        for (x, y) in zip(try a.elements(as: Float.self), try b.elements(as: Float.self)) {
          XCTAssertEqual(x, y, accuracy: 1e-5, name)
        }
      }
    }
  }

  func testOnlyWhatAGradientFlowsIntoHasATangent() throws {
    let traced = try joint([leaf([2]), counting([2])]) { arguments in
      [
        .reference(try arguments[1] + 1), .reference(try arguments[0] * 2),
        .reference(try arguments[0].converted(to: .int64)), .reference(try noGrad { try arguments[0].tanh() }),
      ]
    }
    XCTAssertEqual(traced.differentiableOutputs, [1])
    let graph = traced.module.graph
    XCTAssertEqual(
      graph.placeholders.map { graph[metadata: $0].descriptor }, [.input(0), .input(1), .tangent(of: .output(1))])
    XCTAssertEqual(graph.result.elements?.suffix(2).map(\.isNone), [false, true])
  }

  func testUntrackedWriteLeavesTheHistory() throws {
    let input = try withHistory(counting([2]))
    let traced = try joint([input]) { arguments in
      try arguments[0].detach().add_(1)
      return [.reference(try arguments[0] * 3)]
    }
    let graph = traced.module.graph
    XCTAssertFalse(graph.nodes.contains { graph[$0].calls(OperatorLibrary.withHistory) })
    XCTAssertEqual(graph.result.elements?.last.map(\.isNone), false)
  }

  func testOverwrittenInputIsKeptForTheBackwardPass() throws {
    let (w, x) = (try leaf([2]), try tensor([2, 3], [2]))
    let capture = try captured([w, x]) { arguments in
      let y = try arguments[0] * arguments[1]
      try arguments[1].add_(10)
      return [.reference(y)]
    }
    let graph = try capture.functionalized().differentiated().module.graph
    let copy = try XCTUnwrap(graph.nodes.first { graph[$0].calls(OperatorLibrary.clone) })
    XCTAssertEqual(graph[metadata: copy].recompute, .mustSave)
    XCTAssertFalse(graph[metadata: copy].isBackward)

    let result = try staged(capture)([w, x])[0].reference
    XCTAssertEqual(try x.elements(as: Float.self), [12, 13])
    // As eagerly: what was saved has been written to.
    XCTAssertThrowsError(try result?.sum().backward()) { error in
      XCTAssertEqual((error as? AutogradError)?.code, .modifiedInPlace)
    }
  }

  func testWhatWasComputedFromAnOverwrittenInputIsNotRecomputed() throws {
    let (w, x) = (try leaf([2]), try tensor([2, 3], [2]))
    let capture = try captured([w, x]) { arguments in
      let y = try arguments[0] * (arguments[1] * 2)
      try arguments[1].add_(10)
      return [.reference(y)]
    }
    let result = try staged(capture)([w, x])[0].reference
    try result?.sum().backward()
    XCTAssertEqual(try w.grad?.elements(as: Float.self), [4, 6])
  }

  func testMissingDerivativeNamesOperatorAndLine() throws {
    var graph = Graph()
    let meta = TensorMeta(dtype: .float32, sizes: [2], requiresGrad: true)
    let input = graph.placeholder("x", metadata: NodeMetadata(value: .reference(meta), descriptor: .input(0)))
    let opaque = OperatorDefinition(
      "test::opaque(Tensor self) -> Tensor",
      .host(shape: { [TensorMeta(try $0.tensor(0))] }, body: { _, _ in }))
    let source = SourceLocation(file: "Model.swift", line: 7)
    let call = graph.call(
      opaque, [.reference(input)], metadata: NodeMetadata(value: .reference(meta), source: source))
    graph.output(.tuple([.reference(call)]), descriptors: [.output(0)])
    let functional = FunctionalGraph(
      module: GraphModule(graph),
      meta: ViewAndMutationMeta(
        inputs: [.init(requiresGrad: true, isLeaf: true)],
        outputs: [.init(kind: .nonAlias, meta: meta, requiresGrad: true)]))
    let failure = try functional.differentiated().failures[0]
    XCTAssertEqual((failure as? OperatorError)?.code, .notDifferentiable)
    XCTAssertEqual(failure.map { "\($0)" }, "Model.swift:7: test.opaque.default: has no derivative")
  }
}
