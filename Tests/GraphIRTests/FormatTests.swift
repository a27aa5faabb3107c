import TensorCore
import XCTest

@testable import GraphIR

final class FormatTests: XCTestCase {
  func testRandomGraphsSurviveJSON() throws {
    var graphs = RandomGraphs(seed: 4)
    for _ in 0..<200 {
      let graph = graphs.graph(nodes: 12)
      let json = graph.json()
      let decoded = try Graph(json: json, operators: TestTable.shared)
      XCTAssertEqual(decoded.description, graph.description)
      XCTAssertEqual(decoded.json(), json)
    }
  }

  func testJSONIsPlain() throws {
    let graph = try Graph.parse("graph(x: f32[2] as input(0)) {\n y = aten.add.Tensor(x, 1.5, alpha=2)\n return (y,) }")
    XCTAssertEqual(
      graph.json(),
      #"{"format":"aot-graph","version":1,"nodes":[{"name":"x","kind":"placeholder","#
        + #""metadata":{"value":"f32[2]","descriptor":"input(0)"}},"#
        + #"{"name":"y","kind":"call_function","target":"aten.add.Tensor","arguments":[{"node":"x"},{"double":"1.5"}],"#
        + #""keywordArguments":[["alpha",2]]},{"name":"output","kind":"output","arguments":[{"tuple":[{"node":"y"}]}]}],"#
        + #""outputDescriptors":[]}"#)
  }

  func testMalformedJSONThrows() {
    let head = #"{"format":"aot-graph","version":1,"nodes":["#
    for (json, message) in [
      ("", "1:1: found the end of the text, expected a value"),
      ("{}", "needs \"format\": \"aot-graph\" and \"version\": 1"),
      (head + "3]}", "name must be a string, found nothing"),
      (head + #"{"name":"x","kind":"thing"}]}"#, "node 'x': there is no kind 'thing' of node"),
      (head + #"{"name":"x y","kind":"placeholder"}]}"#, "the name is not an identifier, or taken"),
      (head + #"{"name":"x","kind":"call_function","target":"a.b.c"}]}"#, "node 'x': there is no operator 'a.b.c'"),
      (head + #"{"name":"x","kind":"output","arguments":[{"node":"z"}]}]}"#, "uses 'z', which is not defined"),
      (head + #"{"name":"\ud800","kind":"output"}]}"#, "a surrogate without its other half"),
      (String(repeating: "[", count: 100_000), "nested more than 100 deep"),
    ] {
      XCTAssertThrowsError(try Graph(json: json, operators: TestTable.shared), json.prefix(90).description) { error in
        XCTAssertTrue("\(error)".contains(message), "\(error)")
      }
    }
  }

  func testJSONEscapesAreRead() throws {
    let json =
      #"{"format":"aot-graph","version":1,"nodes":[{"name":"w","kind":"get_attr","#
      + #""target":"\u00e9\ud83d\ude42\/\b\t\"\\"}]}"#
    let graph = try Graph(json: json, operators: TestTable.shared)
    guard case .getAttribute(let path) = graph[graph.nodes[0]].kind else { return XCTFail("no attribute") }
    XCTAssertEqual(path, "é🙂/\u{8}\t\"\\")
  }

  func testDOTListsNodesAndEdges() throws {
    let graph = try Graph.parse("graph(x: f32[2]) {\n y = aten.relu.default(x)\n return y }")
    XCTAssertEqual(
      graph.dot(),
      """
      digraph "graph" {
        rankdir=TB;
        node [shape=box, fontname="monospace"];
        n0 [label="x\\nf32[2]", style="filled", fillcolor=lightblue];
        n1 [label="y\\naten.relu.default", style="filled", fillcolor=white];
        n2 [label="output", style="filled", fillcolor=lightgrey];
        n0 -> n1;
        n1 -> n2;
      }

      """)
  }
}
