import TensorCore
import XCTest

@testable import GraphIR

final class RewritingTests: XCTestCase {
  private func check(
    _ text: String, _ pattern: String, _ replacement: String, gives expected: String, count: Int, line: UInt = #line
  ) throws {
    var graph = try Graph.parse(text)
    let rewriter = try SubgraphRewriter(pattern: try Graph.parse(pattern), replacement: try Graph.parse(replacement))
    XCTAssertEqual(try rewriter.rewrite(&graph).count, count, line: line)
    XCTAssertEqual(graph.lint(), [], line: line)
    XCTAssertEqual(graph.description, try Graph.parse(expected).description, line: line)
  }

  private let addThenRelu = "graph(a, b) {\n s = aten.add.Tensor(a, b)\n r = aten.relu.default(s)\n return r }"
  private let product = "graph(a, b) {\n m = aten.mul.Tensor(a, b)\n return m }"

  func testEveryOccurrenceIsReplaced() throws {
    try check(
      """
      graph(x, y) {
        s = aten.add.Tensor(x, y)
        r = aten.relu.default(s)
        s1 = aten.add.Tensor(r, other=x, alpha=1)
        r1 = aten.relu.default(s1)
        s2 = aten.add.Tensor(r1, y, alpha=2)
        r2 = aten.relu.default(s2)
        return r2
      }
      """, addThenRelu, product,
      gives: """
        graph(x, y) {
          m = aten.mul.Tensor(x, y)
          m_1 = aten.mul.Tensor(m, x)
          s2 = aten.add.Tensor(m_1, y, alpha=2)
          r2 = aten.relu.default(s2)
          return r2
        }
        """, count: 2)
  }

  func testAnInnerNodeUsedOutsideIsNoMatch() throws {
    let text = "graph(x, y) {\n s = aten.add.Tensor(x, y)\n r = aten.relu.default(s)\n return (r, s) }"
    try check(text, addThenRelu, product, gives: text, count: 0)
  }

  func testOneInputIsOneThing() throws {
    let square = "graph(a) {\n m = aten.mul.Tensor(a, a)\n return m }"
    try check(
      "graph(x, y) {\n p = aten.mul.Tensor(x, y)\n q = aten.mul.Tensor(p, p)\n return q }", square,
      "graph(a) {\n r = aten.relu.default(a)\n return r }",
      gives: "graph(x, y) {\n p = aten.mul.Tensor(x, y)\n r = aten.relu.default(p)\n return r }", count: 1)
  }

  func testIdentitiesVanishInChains() throws {
    try check(
      """
      graph(x) {
        a = aten.scale.default(x, 1.0)
        b = aten.scale.default(a, by=1.0)
        c = aten.scale.default(b)
        return (c, a)
      }
      """, "graph(x) {\n s = aten.scale.default(x, 1.0)\n return s }", "graph(x) { return x }",
      gives: "graph(x) {\n c = aten.scale.default(x)\n return (c, x) }", count: 2)
  }

  func testPatternsOfSeveralOutputs() throws {
    let pattern = """
      graph(a, b) {
        s = aten.add.Tensor(a, b)
        r = aten.relu.default(s)
        d = aten.scale.default(s, 2.0)
        return (r, d)
      }
      """
    let replacement = "graph(a, b) {\n m = aten.mul.Tensor(a, b)\n d = aten.scale.default(m, 3.0)\n return (m, d) }"
    try check(
      """
      graph(x, y) {
        s = aten.add.Tensor(x, y)
        r = aten.relu.default(s)
        u = aten.relu.default(r)
        d = aten.scale.default(s, 2.0)
        return (u, d)
      }
      """, pattern, replacement,
      gives: """
        graph(x, y) {
          m = aten.mul.Tensor(x, y)
          d_1 = aten.scale.default(m, 3.0)
          u = aten.relu.default(m)
          return (u, d_1)
        }
        """, count: 1)
  }

  func testOccurrencesDoNotOverlap() throws {
    try check(
      "graph(x) {\n a = aten.relu.default(x)\n b = aten.relu.default(a)\n c = aten.relu.default(b)\n return c }",
      "graph(x) {\n a = aten.relu.default(x)\n b = aten.relu.default(a)\n return b }",
      "graph(x) {\n s = aten.scale.default(x)\n return s }",
      gives: "graph(x) {\n s = aten.scale.default(x)\n c = aten.relu.default(s)\n return c }", count: 1)
  }

  func testAWriteBetweenMatchedNodesKeepsThem() throws {
    let text = """
      graph(x, y) {
        s = aten.add.Tensor(x, y)
        w = aten.add_.Tensor(x, y)
        r = aten.relu.default(s)
        return r
      }
      """
    try check(text, addThenRelu, product, gives: text, count: 0)
  }

  func testAClosureMayWrapOrDecline() throws {
    var graph = try Graph.parse(
      "graph(x) {\n a = aten.relu.default(x)\n b = aten.scale.default(a)\n c = aten.relu.default(b)\n return c }")
    let pattern = try Graph.parse("graph(x) {\n r = aten.relu.default(x)\n return r }")
    let rewriter = try SubgraphRewriter(pattern: pattern) { graph, match in
      guard graph[match.outputs[0]].name == "a" else { return nil }
      return [.reference(graph.call(TestOperators.scale, [.reference(match.outputs[0]), .double(3)], name: "wrapped"))]
    }
    XCTAssertEqual(try rewriter.rewrite(&graph).count, 1)
    XCTAssertEqual(
      graph.nodes.map { graph[$0].name }, ["x", "a", "wrapped", "b", "c", "output"])
    XCTAssertEqual(graph.lint(), [])
  }

  func testUselessPatternsAreRefused() throws {
    for (pattern, message) in [
      ("graph(x) { return x }", "a pattern returns calls"),
      ("graph(x, y) {\n r = aten.relu.default(x)\n return r }", "no output of the pattern depends on it"),
    ] {
      let graph = try Graph.parse(pattern)
      XCTAssertThrowsError(try PatternMatcher(graph)) { error in
        XCTAssertTrue("\(error)".contains(message), "\(error)")
      }
    }
  }
}
