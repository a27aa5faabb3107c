import TensorCore
import XCTest

@testable import GraphIR

final class ExecutionTests: XCTestCase {
  private func floats(_ value: Value) throws -> [Float] { try XCTUnwrap(value.reference).elements() }

  func testInterpreterRunsAGraph() throws {
    let graph = try Graph.parse(
      """
      graph(x, y) {
        w = get_attr("w")
        a = aten.add.Tensor(x, y, alpha=2)
        b = aten.mul.Tensor(a, w)
        s = aten.split.Tensor(b, 1)
        last = operator.getitem.default(s, 1)
        return (last, [b, 3], none)
      }
      """)
    let module = GraphModule(graph, attributes: ["w": try Tensor([Float(10), 100])])
    let result = try Interpreter(module).run([
      .reference(try Tensor([Float(1), 2])), .reference(try Tensor([Float(3), 4])),
    ])
    let parts = try XCTUnwrap(result.elements)
    XCTAssertEqual(try floats(parts[0]), [1000])
    XCTAssertEqual(try floats(try XCTUnwrap(parts[1].elements?.first)), [70, 1000])
    XCTAssertTrue(parts[2].isNone)
  }

  func testFailuresNameNodeOperatorAndSource() throws {
    let graph = try Graph.parse("graph(x, y) {\n z = aten.add.Tensor(x, y) // Model.swift:7\n return z }")
    let inputs: [Value] = [.reference(try Tensor([Float(1)])), .reference(try Tensor([Float(1), 2]))]
    XCTAssertThrowsError(try Interpreter(graph).run(inputs)) { error in
      XCTAssertEqual(
        "\(error)", "node 'z' (aten.add.Tensor), written at Model.swift:7: shapes [1] and [2] differ")
    }
    XCTAssertThrowsError(try Interpreter(graph).run([])) { error in
      XCTAssertEqual("\(error)", "the graph has 2 inputs, got 0 arguments")
    }
    let missing = try Graph.parse("graph() {\n w = get_attr(\"w\")\n return w }")
    XCTAssertThrowsError(try Interpreter(missing).run([])) { error in
      XCTAssertEqual("\(error)", "node 'w': the module has no attribute 'w'")
    }
  }

  func testValuesAreLetGoAfterTheirLastUse() throws {
    /// Counts how many of the values that calls gave are alive.
    final class Watcher: Interpreter {
      final class Weak {
        weak var tensor: Tensor?
        init(_ tensor: Tensor?) { self.tensor = tensor }
      }
      var given: [Weak] = []
      var mostAlive = 0

      override func call(_ id: NodeID, _ target: any Operator, _ arguments: [Value]) throws -> Value {
        let value = try super.call(id, target, arguments)
        given.append(Weak(value.reference))
        mostAlive = max(mostAlive, given.count { $0.tensor != nil })
        return value
      }
    }
    var graph = Graph()
    var last = graph.placeholder("x")
    for _ in 0..<50 { last = graph.call(TestOperators.relu, [.reference(last)]) }
    graph.output(.reference(last))
    let watcher = Watcher(GraphModule(graph))
    _ = try watcher.run([.reference(try Tensor([Float(1)]))])
    XCTAssertEqual(watcher.mostAlive, 2)
  }

  func testTransformerReplacesCalls() throws {
    /// Writes relu(x) as x * x and takes tuples apart.
    final class Squaring: Transformer {
      override func call(
        _ id: NodeID, _ target: any Operator, _ arguments: [GraphArgument], _ keywordArguments: [KeywordArgument]
      ) throws -> GraphArgument {
        if target === TestOperators.relu {
          return .reference(result.call(TestOperators.mul, [arguments[0], arguments[0]], name: "square"))
        }
        if target === TestOperators.split { return .tuple([arguments[0], arguments[0]]) }
        return try super.call(id, target, arguments, keywordArguments)
      }
    }
    let graph = try Graph.parse(
      """
      graph(x: f32[2] as input(0)) {
        r = aten.relu.default(x)
        s = aten.split.Tensor(r, 1)
        i = operator.getitem.default(s, 1)
        a = aten.add.Tensor(i, x, alpha=2)    // A.swift:1
        return (a,) as (output(0))
      }
      """)
    XCTAssertEqual(
      try Squaring(graph).transformed().description,
      """
      graph(x: f32[2] as input(0)) {
        square = aten.mul.Tensor(x, x)
        a = aten.add.Tensor(square, x, alpha=2)    // A.swift:1
        return (a,) as (output(0))
      }

      """)
    XCTAssertEqual(try Transformer(graph).transformed().description, graph.description)
  }

  func testFakePropagationFillsInMetadataAndAliasing() throws {
    var module = GraphModule(
      try Graph.parse(
        """
        graph(x: f32[4, 2] requires_grad) {
          w = get_attr("w")
          v = aten.view.default(x, [8])
          s = aten.split.Tensor(v, 4)
          i = operator.getitem.default(s, 1)
          m = aten.mul.Tensor(v, w)
          u = aten.add_.Tensor(m, w)
          r = aten.rand.default([2])
          return (i, m)
        }
        """), attributes: ["w": try Tensor([Float](repeating: 1, count: 8))])
    try FakePropagation().run(on: &module)
    XCTAssertEqual(
      module.graph.description,
      """
      graph(x: f32[4, 2] requires_grad #0) {
        w: f32[8] #1 = get_attr("w")
        v: f32[8] #0 = aten.view.default(x, [8])
        s: [f32[4] #0, f32[4] offset 4 #0] = aten.split.Tensor(v, 4)
        i: f32[4] offset 4 #0 = operator.getitem.default(s, 1)
        m: f32[8] #2 = aten.mul.Tensor(v, w)
        u: f32[8] #2 = aten.add_.Tensor(m, w)
        r: f32[2] #3 = aten.rand.default([2])
        return (i, m)
      }

      """)
    XCTAssertEqual(module.lint(rerunningShapeRules: true), [])
    XCTAssertEqual(try module.attribute("w")?.elements(as: Float.self), [Float](repeating: 1, count: 8))
    XCTAssertEqual(module.attribute("w")?.storage.version, 0)
  }

  func testModulesPrintAndReadBack() throws {
    let base = try Tensor([Float](repeating: 0, count: 6), shape: [2, 3])
    let view = try Tensor(
      storage: base.storage, layout: Layout(sizes: [3, 2], strides: [1, 3]), dtype: .float32)
    let nested = GraphModule(try Graph.parse("graph(x) { return x }"), attributes: ["transposed": view])
    let module = GraphModule(
      try Graph.parse("graph(x) {\n w = get_attr(\"body.transposed\")\n return (x, w) }"),
      attributes: ["w.0": base, "own": try Tensor([Int64(1)])], modules: ["body": nested])
    let text = module.description
    XCTAssertEqual(
      text,
      """
      module {
        attribute "own": i64[1]
        attribute "w.0": f32[2, 3] #0
        module "body" {
          attribute "transposed": f32[3, 2] strides [1, 3] #0
          graph(x) {
            return x
          }
        }
        graph(x) {
          w = get_attr("body.transposed")
          return (x, w)
        }
      }

      """)
    let parsed = try GraphModule(parsing: text, operators: TestTable.shared)
    XCTAssertEqual(parsed.description, text)
    XCTAssertTrue(parsed.attribute("w.0")?.storage === parsed.attribute("body.transposed")?.storage)
    XCTAssertEqual(parsed.lint(), [])
    XCTAssertThrowsError(try GraphModule(parsing: "module { attribute \"a\": f32[2]", operators: TestTable.shared))
    let deep = String(repeating: "module \"m\" {", count: 100_000)
    XCTAssertThrowsError(try GraphModule(parsing: "module {" + deep, operators: TestTable.shared))
  }
}
