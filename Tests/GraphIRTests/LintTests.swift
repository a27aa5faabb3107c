import TensorCore
import XCTest

@testable import GraphIR

final class LintTests: XCTestCase {
  private func problems(_ text: String, _ edit: (inout Graph) throws -> Void = { _ in }) throws -> [String] {
    var graph = try Graph.parse(text)
    try edit(&graph)
    return graph.lint().map(\.description)
  }

  func testAWellFormedGraphHasNoProblems() throws {
    XCTAssertEqual(
      try problems(
        """
        graph(x: f32[4] as input(0), y as input(1)) {
          s: [f32[2], f32[2] offset 2] = aten.split.Tensor(x, 2)
          i: f32[2] offset 2 = operator.getitem.default(s, 1)
          c = aten.cat.default([i, y])
          p: () = aten.print.default("hello")
          return (c, [i, none]) as (output(0), output(1), output(2))
        }
        """), [])
  }

  func testOrderIsChecked() throws {
    let text = "graph(x) {\n a = aten.relu.default(x)\n b = aten.relu.default(a)\n return b }"
    XCTAssertEqual(
      try problems(text) { $0.move($0.node(named: "a")!, to: .after($0.node(named: "b")!)) },
      ["node 'b': uses 'a' before it is defined"])
    XCTAssertEqual(
      try problems(text) { $0.move($0.node(named: "x")!, to: .after($0.node(named: "b")!)) },
      ["node 'a': uses 'x' before it is defined", "node 'x': is an input that stands after 'a'"])
    XCTAssertEqual(
      try problems(text) { _ = $0.call(TestOperators.relu, [.reference($0.node(named: "x")!)], name: "late") },
      ["node 'late': stands after the output 'output'"])
    XCTAssertEqual(try problems("graph(x) {}"), ["the graph has no output"])
    XCTAssertEqual(
      try problems(text) { $0.setArguments(of: $0.node(named: "a")!, [.reference($0.output!)]) },
      ["node 'a': uses the output 'output'"])
    XCTAssertEqual(
      try problems(text) { $0.setArguments(of: $0.output!, []) }, ["node 'output': an output takes one argument"])
  }

  func testCallsAreHeldAgainstSchemas() throws {
    XCTAssertEqual(
      try problems("graph(x) {\n a = aten.add.Tensor(x) // M.swift:3\n return a }"),
      ["node 'a', M.swift:3: aten.add.Tensor: 'other' of type Tensor is missing"])
    XCTAssertEqual(
      try problems("graph(x: [f32[2]]) {\n a = aten.relu.default(x)\n return a }"),
      ["node 'a': aten.relu.default: 'self' needs Tensor, got a list of 1, the first a tensor"])
    XCTAssertEqual(
      try problems("graph(x: f32[2]) {\n a: [f32[2]] = aten.relu.default(x)\n return a }"),
      ["node 'a': is recorded as [f32[2]], its operator returns (Tensor)"])
  }

  func testElementsAndMetadataAreChecked() throws {
    XCTAssertEqual(
      try problems("graph(x: [f32[2]]) {\n a = operator.getitem.default(x, 1)\n return a }"),
      ["node 'a': picks element 1 of the 1 that 'x' gives"])
    XCTAssertEqual(
      try problems("graph(x: f32[2]) {\n a = operator.getitem.default(x, 0)\n return a }"),
      ["node 'a': picks an element of 'x', which gives f32[2]"])
    XCTAssertEqual(
      try problems("graph(x: (f32[2],)) {\n a: f32[3] = operator.getitem.default(x, 0)\n return a }"),
      ["node 'a': is recorded as f32[3], the element it picks as f32[2]"])
    XCTAssertEqual(
      try problems("graph(x) { return x }") {
        let huge = Layout(sizes: [SymInt(.max)], strides: [2])
        $0[metadata: $0.node(named: "x")!].value = .reference(TensorMeta(dtype: .float32, layout: huge))
      }, ["node 'x': is recorded as f32[\(Int.max)] strides [2], which no memory could hold"])
  }

  func testDescriptorsAreCounted() throws {
    XCTAssertEqual(
      try problems("graph(x as input(0), y as input(0)) { return (x, y) as (output(0)) }"),
      [
        "node 'y': is described as input(0), as 'x' is", "node 'output': gives 2 values, described are 1",
      ])
    XCTAssertEqual(
      try problems("graph(x) { return (x, x) as (output(0), output(0)) }"),
      ["node 'output': describes 2 values as output(0)"])
  }

  func testStaleMetadataIsFoundByRunningShapeRules() throws {
    let module = GraphModule(
      try Graph.parse("graph(x: f32[2]) {\n a: f32[3] = aten.relu.default(x) // M.swift:1\n return a }"))
    XCTAssertEqual(module.lint(), [])
    XCTAssertEqual(
      module.lint(rerunningShapeRules: true).map(\.description),
      ["node 'a', M.swift:1: is recorded as f32[3], its operator gives f32[2]"])
    let failing = GraphModule(
      try Graph.parse("graph(x: f32[2], y: f32[3]) {\n a = aten.add.Tensor(x, y)\n return a }"))
    XCTAssertEqual(
      failing.lint(rerunningShapeRules: true).map(\.description), ["node 'a': shapes [2] and [3] differ"])
  }

  func testModulesAreCheckedForWhatTheyHold() throws {
    let inner = GraphModule(try Graph.parse("graph() {\n w = get_attr(\"w\")\n return w }"))
    let module = GraphModule(try Graph.parse("graph() { return none }"), modules: ["inner": inner])
    XCTAssertThrowsError(try module.validate()) { error in
      XCTAssertEqual("\(error)", "node 'inner.w': reads 'w', which the module does not have")
    }
  }
}
