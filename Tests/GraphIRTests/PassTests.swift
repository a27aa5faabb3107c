import TensorCore
import XCTest

@testable import GraphIR

final class PassTests: XCTestCase {
  private func eliminated(_ body: String, _ inputs: String = "x: f32[2], y: f32[2]") throws -> [String] {
    var graph = try Graph.parse("graph(\(inputs)) {\n\(body)\n}")
    _ = try CommonSubexpressionElimination().run(on: &graph)
    XCTAssertEqual(graph.lint(), [])
    return graph.nodes.filter { graph[$0].target != nil }.map { graph[$0].name }
  }

  func testDeadCodeGoesAndEffectsStay() throws {
    var graph = try Graph.parse(
      """
      graph(x, unused) {
        w = get_attr("w")
        a = aten.relu.default(x)
        b = aten.relu.default(a)
        p = aten.print.default("kept")
        r = aten.rand.default([2])
        m = aten.add_.Tensor(x, x)
        return x
      }
      """)
    XCTAssertEqual(try DeadCodeElimination().run(on: &graph), 3)
    XCTAssertEqual(graph.nodes.map { graph[$0].name }, ["x", "unused", "p", "r", "m", "output"])
  }

  func testEqualCallsBecomeOne() throws {
    XCTAssertEqual(
      try eliminated(
        """
        a = aten.add.Tensor(x, y)
        b = aten.add.Tensor(x, other=y, alpha=1)
        c = aten.relu.default(a)
        d = aten.relu.default(b)
        e = aten.add.Tensor(c, d)
        return e
        """), ["a", "c", "e"])
  }

  func testCallsThatDifferForUsersStayApart() throws {
    XCTAssertEqual(
      try eliminated(
        """
        a = aten.rand.default([2])
        b = aten.rand.default([2])
        c: f32[2] requires_grad = aten.relu.default(x)
        d: f32[2] = aten.relu.default(x)
        e = aten.scale.default(x) @no_grad
        f = aten.scale.default(x) @grad
        g = aten.add.Tensor(x, y) @must_save
        h = aten.add.Tensor(x, y) @must_recompute
        i = aten.scale.default(x, 0.0)
        j = aten.scale.default(x, -0.0)
        k = aten.cat.default([a, b, c, d, e, f, g, h, i, j])
        return k
        """), ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"])
  }

  func testWritesKeepReadersAndWrittenMemoryApart() throws {
    XCTAssertEqual(
      try eliminated(
        """
        a = aten.relu.default(x)
        w = aten.add_.Tensor(x, y)
        b = aten.relu.default(x)
        c = aten.relu.default(x)
        d = aten.cat.default([a, b, c])
        return d
        """, "x: f32[2] #0, y: f32[2] #1"), ["a", "w", "b", "d"])
    XCTAssertEqual(
      try eliminated(
        """
        a = aten.relu.default(x)
        b = aten.relu.default(x)
        v = aten.view.default(a, [2])
        w = aten.add_.Tensor(v, y)
        d = aten.cat.default([a, b])
        return d
        """, "x: f32[2] #0, y: f32[2] #1"), ["a", "b", "v", "w", "d"])
    // Inputs whose memory is not known may be one: a write to one is a write to the other.
    XCTAssertEqual(
      try eliminated(
        """
        a = aten.relu.default(y)
        w = aten.add_.Tensor(x, x)
        b = aten.relu.default(y)
        d = aten.cat.default([a, b])
        return d
        """), ["a", "w", "b", "d"])
  }

  func testTwoReturnedTensorsStayTwo() throws {
    XCTAssertEqual(
      try eliminated("a = aten.relu.default(x)\nb = aten.relu.default(x)\nreturn (a, b)"), ["a", "b"])
    XCTAssertEqual(
      try eliminated(
        """
        a = aten.relu.default(x)
        b = aten.relu.default(x)
        c = aten.relu.default(x)
        d = aten.view.default(a, [2])
        return (b, c, d)
        """), ["a", "b", "c", "d"])
    XCTAssertEqual(
      try eliminated(
        "a = aten.relu.default(x)\nb = aten.relu.default(x)\nc = aten.relu.default(x)\nd = aten.scale.default(a)\nreturn (b, c, d)"
      ), ["a", "c", "d"])
    XCTAssertEqual(
      try eliminated(
        """
        s = aten.split.Tensor(x, 1)
        t = aten.split.Tensor(x, 1)
        a = operator.getitem.default(s, 0)
        b = operator.getitem.default(t, 0)
        return (a, b)
        """), ["s", "t", "a", "b"])
  }

  func testConstantsAreFolded() throws {
    var module = GraphModule(
      try Graph.parse(
        """
        graph(x: f32[2]) {
          w = get_attr("w")
          p = get_attr("p")
          a = aten.scale.default(w, 3.0)
          b = aten.add.Tensor(a, w)
          c = aten.mul.Tensor(b, x)
          d = aten.mul.Tensor(p, b)
          r = aten.rand.default([2])
          e = aten.ones.default([2])
          return (c, d, r, e)
        }
        """), attributes: ["w": try Tensor([Float(1), 2]), "p": try Tensor([Float(5), 6])])
    let before = try Interpreter(module).run([.reference(try Tensor([Float(1), 1]))])
    XCTAssertEqual(try ConstantFolding { $0 != "p" }.run(on: &module), 2)
    XCTAssertEqual(
      module.graph.description,
      """
      graph(x: f32[2]) {
        w = get_attr("w")
        p = get_attr("p")
        b = get_attr("_folded_b")
        c = aten.mul.Tensor(b, x)
        d = aten.mul.Tensor(p, b)
        r = aten.rand.default([2])
        e = aten.ones.default([2])
        return (c, d, r, e)
      }

      """)
    let after = try Interpreter(module).run([.reference(try Tensor([Float(1), 1]))])
    XCTAssertEqual(
      try before.references.map { try $0.elements(as: Float.self) },
      try after.references.map { try $0.elements(as: Float.self) })
  }

  func testWhatIsWrittenOrNeedsGradientsIsNotFolded() throws {
    var module = GraphModule(
      try Graph.parse(
        """
        graph(x: f32[2] #0) {
          w: f32[2] #1 = get_attr("w")
          v: f32[2] requires_grad #2 = get_attr("v")
          a = aten.scale.default(w)
          u = aten.add_.Tensor(w, x)
          b = aten.scale.default(v)
          c = aten.cat.default([a, b])
          return c
        }
        """), attributes: ["w": try Tensor([Float(1), 2]), "v": try Tensor([Float(5), 6])])
    XCTAssertEqual(try ConstantFolding().run(on: &module), 0)
  }

  // MARK: Pipeline

  private struct Breaking: GraphPass {
    let name = "breaking"
    func run(on module: inout GraphModule) throws -> Int {
      module.graph.setArguments(of: module.graph.nodes[1], [])
      return 1
    }
  }

  func testAPipelineRunsReportsAndSkips() throws {
    var module = GraphModule(
      try Graph.parse("graph(x) {\n a = aten.relu.default(x)\n b = aten.relu.default(x)\n return b }"))
    let seen = Seen()
    var pipeline = PassPipeline([CommonSubexpressionElimination(), DeadCodeElimination()])
    pipeline.afterPass = { report, module in seen.names.append("\(report.pass) \(module.graph.count)") }
    pipeline.disabled = ["common-subexpression-elimination"]
    let reports = try pipeline.run(on: &module)
    XCTAssertEqual(reports.map(\.pass), ["dead-code-elimination"])
    XCTAssertEqual(reports.map(\.changes), [1])
    XCTAssertEqual(seen.names, ["dead-code-elimination 3"])
  }

  private final class Seen: @unchecked Sendable { var names: [String] = [] }

  func testAFailureNamesThePassAndKeepsTheGraph() throws {
    var module = GraphModule(try Graph.parse("graph(x) {\n a = aten.relu.default(x)\n return a }"))
    let text = module.graph.description
    XCTAssertThrowsError(try PassPipeline([DeadCodeElimination(), Breaking()]).run(on: &module)) { error in
      let failure = error as? PassFailure
      XCTAssertEqual(failure?.pass, "breaking")
      XCTAssertEqual(failure?.graphBefore.description, text)
      XCTAssertTrue("\(error)".contains("aten.relu.default: 'self' of type Tensor is missing"), "\(error)")
    }
    XCTAssertEqual(module.graph.description, text)
  }
}
