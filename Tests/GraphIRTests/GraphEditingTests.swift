import TensorCore
import XCTest

@testable import GraphIR

final class GraphEditingTests: XCTestCase {
  func testNamesAreMadeUniqueAsFXDoes() {
    var graph = Graph()
    let names = ["mm", "mm", "mm_1", "mm", "true", "2 x", "", "a_", "a_", "x_99999999999999999999"].map {
      name -> String in
      let id = graph.placeholder(name)
      return graph[id].name
    }
    XCTAssertEqual(
      names, ["mm", "mm_1", "mm_2", "mm_3", "true_1", "_2_x", "_", "a_", "a__1", "x_99999999999999999999"])
  }

  func testInsertionPointsSurviveErasing() throws {
    var graph = Graph()
    let x = graph.placeholder("x")
    let a = graph.call(TestOperators.relu, [.reference(x)], name: "a")
    let b = graph.call(TestOperators.relu, [.reference(x)], name: "b")
    graph.insertionPoint = .before(a)
    try graph.inserting(.before(b)) { graph in
      try graph.erase(a)
      graph.call(TestOperators.relu, [.reference(x)], name: "c")
    }
    graph.call(TestOperators.relu, [.reference(x)], name: "d")
    XCTAssertEqual(graph.nodes.map { graph[$0].name }, ["x", "c", "d", "b"])
    graph.insertionPoint = .after(x)
    try graph.erase(b)
    graph.call(TestOperators.relu, [.reference(x)], name: "e")
    XCTAssertEqual(graph.nodes.map { graph[$0].name }, ["x", "e", "c", "d"])
  }

  func testErasingAUsedNodeNamesItsUsers() throws {
    var graph = try Graph.parse("graph(x) { y = aten.relu.default(x)\n return y }")
    let y = try XCTUnwrap(graph.node(named: "y"))
    XCTAssertThrowsError(try graph.erase(y)) { error in
      XCTAssertEqual("\(error)", "node 'y': cannot be erased: used by 'output'")
    }
  }

  func testUsersStayExactUnderRandomEdits() {
    var random = SystemRandomNumberGenerator()
    var graphs = RandomGraphs(seed: 5)
    for _ in 0..<30 {
      var graph = graphs.graph(nodes: 20)
      for _ in 0..<20 {
        guard let a = graph.nodes.randomElement(using: &random), let b = graph.nodes.randomElement(using: &random)
        else {
          break
        }
        switch Int.random(in: 0..<4, using: &random) {
        case 0: graph.replaceAllUses(of: a, with: b)
        case 1: graph.move(a, to: .after(b))
        case 2: try? graph.erase(a)
        default: graph.replaceInput(of: a, b, with: .list([.reference(b), .int(1), .reference(b)]))
        }
        var linter = Linter(graph)
        linter.checkLinks()
        XCTAssertEqual(linter.problems, [])
      }
    }
  }

  func testSortingRestoresOrderAndKeepsTheRest() throws {
    var graph = try Graph.parse(
      """
      graph(x) {
        a = aten.relu.default(x)
        b = aten.relu.default(a)
        c = aten.add.Tensor(a, b)
        return c
      }
      """)
    let text = graph.description
    XCTAssertFalse(try graph.sortTopologically())
    let (a, c) = (try XCTUnwrap(graph.node(named: "a")), try XCTUnwrap(graph.node(named: "c")))
    graph.move(a, to: .end)
    XCTAssertFalse(graph.lint().isEmpty)
    XCTAssertTrue(try graph.sortTopologically())
    XCTAssertEqual(graph.description, text)
    graph.setArguments(of: a, [.reference(c)])
    XCTAssertThrowsError(try graph.sortTopologically()) { error in
      XCTAssertTrue("\(error)".contains("depends on itself"), "\(error)")
    }
  }

  func testCompactingKeepsTheText() {
    var graphs = RandomGraphs(seed: 3)
    for _ in 0..<50 {
      let graph = graphs.graph(nodes: 15)
      let (compacted, mapping) = graph.compacted()
      XCTAssertEqual(compacted.description, graph.description)
      XCTAssertEqual(compacted.indexBound, compacted.count)
      XCTAssertEqual(compacted.lint().map(\.message), graph.lint().map(\.message))
      for id in graph.nodes { XCTAssertEqual(mapping[id].map { compacted[$0].name }, graph[id].name) }
    }
  }

  func testExtractTakesWhatLiesBetween() throws {
    let graph = try Graph.parse(
      """
      graph(x: f32[2], y: f32[2]) {
        a: f32[2] = aten.add.Tensor(x, y)
        b: f32[2] = aten.relu.default(a)
        c: f32[2] = aten.mul.Tensor(b, a)
        return c
      }
      """)
    let node = { (name: String) in try XCTUnwrap(graph.node(named: name)) }
    let part = try graph.extract(inputs: [node("a")], outputs: [node("c"), node("b")])
    XCTAssertEqual(
      part.description,
      """
      graph(a: f32[2]) {
        b: f32[2] = aten.relu.default(a)
        c: f32[2] = aten.mul.Tensor(b, a)
        return (c, b)
      }

      """)
    XCTAssertThrowsError(try graph.extract(inputs: [node("x")], outputs: [node("a")])) { error in
      XCTAssertEqual("\(error)", "node 'y': an extracted node depends on this graph input")
    }
    let writing = try Graph.parse(
      """
      graph(x) {
        a = aten.relu.default(x)
        w = aten.add_.Tensor(a, x)
        b = aten.relu.default(a)
        return b
      }
      """)
    let b = try XCTUnwrap(writing.node(named: "b"))
    XCTAssertThrowsError(try writing.extract(inputs: writing.placeholders, outputs: [b])) { error in
      XCTAssertTrue("\(error)".hasPrefix("node 'w': writes to memory"), "\(error)")
    }
  }

  func testInlineReplacesACallByTheBody() throws {
    let body = try Graph.parse(
      """
      graph(x, y) {
        w = get_attr("weight")
        a = aten.add.Tensor(x, w)
        return (a, y)
      }
      """)
    var module = GraphModule(
      try Graph.parse(
        """
        graph(p, q) {
          body = get_attr("layers.0")
          call = higher_order.invoke_subgraph.default(body, [p, q])
          first = operator.getitem.default(call, 0)
          second = operator.getitem.default(call, 1)
          r = aten.mul.Tensor(first, second)
          return r
        }
        """),
      modules: ["layers.0": GraphModule(body, attributes: ["weight": try Tensor([Float(1), 2])])])
    let inputs: [Value] = [.reference(try Tensor([Float(1), 1])), .reference(try Tensor([Float(3), 4]))]
    let before = try Interpreter(module).run(inputs)
    try module.inline(try XCTUnwrap(module.graph.node(named: "call")))
    XCTAssertEqual(
      module.graph.description,
      """
      graph(p, q) {
        w = get_attr("layers.0.weight")
        a = aten.add.Tensor(p, w)
        r = aten.mul.Tensor(a, q)
        return r
      }

      """)
    XCTAssertEqual(module.lint(), [])
    let after = try Interpreter(module).run(inputs)
    XCTAssertEqual(try after.reference?.elements(as: Float.self), [6, 12])
    XCTAssertEqual(try before.reference?.elements(as: Float.self), [6, 12])
  }
}
