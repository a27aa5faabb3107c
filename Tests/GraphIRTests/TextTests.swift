import Foundation
import TensorCore
import XCTest

@testable import GraphIR

final class TextTests: XCTestCase {
  func testAGraphReadsAsWritten() throws {
    let text = """
      graph(primals_1: f32[8, 4] as input(0), primals_2: f32[4, 2] requires_grad, tangents_1: f32[8, 2]) {
        mul: f32[8, 2] = aten.mul.Tensor(primals_1, primals_2)    // Model.swift:12
        w: f32[3] = get_attr("layers.0.weight")
        sum_1: f32[] strides [] #4 = aten.sum.dim_IntList(mul, [0, 1], keepdim=true) @no_grad @must_recompute
        split: [f32[2, 4], f32[2, 4] offset 8] = aten.split.Tensor(w, 2)
        getitem: f32[2, 4] strides [1, 2] offset 8 on cuda:1 = operator.getitem.default(split, -1) @backward @forward(mul)
        add = aten.add.Tensor(getitem, {"a": (1, 1.5, .f32), "b": [.cuda:0, (none,), ()]}, alpha=-0.0) @note("k": "v\\n")
        return (sum_1, [mul, none]) as (output(0), tangent(of: output(1)), gradient(of: mutated(input(2))))
      }

      """
    let graph = try Graph.parse(text)
    XCTAssertEqual(graph.description, text.replacing(" strides [] #4", with: " #4"))
    let add = try XCTUnwrap(graph.node(named: "add"))
    XCTAssertEqual(graph[add].keywordArguments, [KeywordArgument("alpha", .double(-0.0))])
    XCTAssertEqual(graph[add].metadata.annotations, ["k": "v\n"])
    XCTAssertEqual(graph[try XCTUnwrap(graph.node(named: "mul"))].metadata.source, .init(file: "Model.swift", line: 12))
    XCTAssertEqual(graph.outputDescriptors.last, .gradient(of: .mutated(.input(2))))
  }

  func testFreeSpellingIsRead() throws {
    let graph = try Graph.parse(
      """
      // A comment: 12
      graph(
        x: f32[2],  // first
        y: f32[2] at "my file":3
      ) {
        // nothing here
        z = aten.add.Tensor(x,
          y, alpha = 2)   // note: this is no place
        return (z)
      }
      """)
    XCTAssertEqual(graph.placeholders.map { graph[$0].metadata.source?.line }, [nil, 3])
    XCTAssertEqual(graph.result, .reference(try XCTUnwrap(graph.node(named: "z"))))
  }

  func testManyParametersStandOnLinesOfTheirOwn() throws {
    var graph = Graph()
    for _ in 0..<20 { graph.placeholder("weight", metadata: .init(source: .init(file: "A.swift", line: 1))) }
    graph.output(.none)
    XCTAssertTrue(graph.description.hasPrefix("graph(\n  weight at A.swift:1,\n  weight_1 at A.swift:1,\n"))
    XCTAssertEqual(try Graph.parse(graph.description).description, graph.description)
  }

  func testRandomGraphsPrintParsePrint() throws {
    var graphs = RandomGraphs(seed: 1)
    for _ in 0..<300 {
      let graph = graphs.graph(nodes: 12)
      let parsed = try Graph.parse(graph.description)
      XCTAssertEqual(parsed.description, graph.description)
      for (a, b) in zip(graph.nodes, parsed.nodes) { XCTAssertEqual(graph[a].metadata, parsed[b].metadata) }
      XCTAssertEqual(graph.outputDescriptors, parsed.outputDescriptors)
    }
  }

  func testErrorsSayWhereWhatAndWhatInstead() {
    for (text, message) in [
      ("", "1:1: found the end of the text, expected 'graph'"),
      ("graph(x: f32[2]) {\n  y = aten.relu.default(z)\n}", "2:25: 'z' is not defined before its use"),
      ("graph(x) {\n  x = aten.relu.default(x)\n}", "2:3: 'x' is defined twice"),
      ("graph() {\n  y = aten.nothing.default()\n}", "2:7: there is no operator 'aten.nothing.default'"),
      ("graph(x: f33[2]) {}", "1:10: 'f33' is not a dtype"),
      ("graph(x: f32[-2]) {}", "1:10: no memory could hold"),
      ("graph(x: f32[4611686018427387904, 4]) {}", "1:10: no memory could hold"),
      ("graph(x: f32[2] strides [1, 2]) {}", "1:10: no memory could hold"),
      ("graph(x) { return 99999999999999999999 }", "1:19: the integer 99999999999999999999 does not fit into 64 bits"),
      ("graph(x) { return -9223372036854775808 }", "1:19: the integer -9223372036854775808 is out of range"),
      ("graph(x) { return x return x }", "found 'return', expected '}' after the return"),
      ("graph(x) { return x @sideways }", "there is no attribute '@sideways'"),
      ("graph(x as nonsense(3)) {}", "1:12: 'nonsense' is not a descriptor"),
      ("graph(x) { return \"abc }", "1:19: the string does not end"),
      ("graph(x) { y = aten.add.Tensor(alpha=1, x) }", "expected an argument by name"),
      ("graph(inf) {}", "1:7: 'inf' cannot name a node"),
      ("graph(é) {}", "1:7: found 'é', expected a graph input's name"),
      ("graph(x) { return x } extra", "1:23: found 'extra', expected the end of the text"),
      ("graph(x) { return " + String(repeating: "[", count: 100_000), "nested more than 100 deep"),
      ("graph(x as " + String(repeating: "mutated(", count: 100_000), "nested more than 100 deep"),
    ] {
      XCTAssertThrowsError(try Graph.parse(text), text.prefix(40).description) { error in
        XCTAssertTrue("\(error)".contains(message), "\(error)")
      }
    }
  }

  /// `GRAPH_FUZZ_COUNT` sets the number of texts; the usual few keep the suite fast.
  func testMutatedTextsParseOrThrow() throws {
    let count = ProcessInfo.processInfo.environment["GRAPH_FUZZ_COUNT"].flatMap { Int($0) } ?? 3000
    var graphs = RandomGraphs(seed: 2)
    let texts = (0..<20).map { _ in graphs.graph(nodes: 6).description }
    let report = TextFuzzer(texts: texts, operators: TestTable.shared).run(count: count, seed: 7)
    XCTAssertEqual(report.parsed + report.refused, count)
    XCTAssertEqual(report.unstable, [])
    XCTAssertGreaterThan(report.refused, 0)
  }
}
