import GraphIR
import TensorCore
import XCTest

@testable import Operators

/// Graphs in which operators are replaced by others.
final class DecompositionTests: XCTestCase {
  /// The graph of what `body` calls on one matrix.
  private func graph(_ body: (Tensor) throws -> Tensor) throws -> Graph {
    let tracer = GraphTracer()
    tracer.annotate = { _ in NodeMetadata(source: SourceLocation(file: "User.swift", line: 7), isBackward: true) }
    let input = try tracer.placeholder("x", TensorMeta(dtype: .float32, sizes: [2, 3]), descriptor: .input(0))
    let result = try tracer.recording { try body(input) }
    try tracer.output(.tuple([.reference(result)]), descriptors: [.output(0)])
    return tracer.graph
  }

  private func targets(_ graph: Graph) -> [String] { graph.nodes.compactMap { graph[$0].target?.name.base } }

  func testNamesAndMetadataAreKept() throws {
    let before = try graph { try $0.silu().t() }
    let after = try before.decomposed(by: .coreATen)
    XCTAssertEqual(targets(after), ["sigmoid", "mul", "permute"])
    XCTAssertEqual(after.nodes.map { after[$0].name }, ["x", "sigmoid", "silu", "t", "output"])
    XCTAssertEqual(after.outputDescriptors, [.output(0)])
    for id in after.nodes where after[id].target != nil {
      XCTAssertEqual(after[metadata: id].source?.line, 7)
      XCTAssertTrue(after[metadata: id].isBackward)
    }
    let ids = after.nodes
    XCTAssertEqual(after[metadata: ids[2]].tensor?.storageID, after[metadata: ids[3]].tensor?.storageID)
    XCTAssertNotEqual(after[metadata: ids[1]].tensor?.storageID, after[metadata: ids[2]].tensor?.storageID)
    try after.validate()
  }

  func testTableIsEdited() throws {
    let table = DecompositionTable.coreATen.removing(OperatorLibrary.silu).adding(OperatorLibrary.tanh) { call in
      .reference(try call.tensor(0) * 2)
    }
    XCTAssertEqual(targets(try graph { try $0.silu().tanh() }.decomposed(by: table)), ["silu", "mul"])
    XCTAssertNil(table[OperatorLibrary.silu])
    XCTAssertTrue(table.names.contains(OperatorLibrary.tanh.name))
    XCTAssertEqual(DecompositionTable.none.adding(OperatorLibrary.t).description, "aten.t.default")
    XCTAssertTrue(DecompositionTable.none.isEmpty)
  }

  func testDecompositionsAreDecomposed() throws {
    let silu = try graph { try $0.silu() }
    XCTAssertEqual(targets(try silu.decomposed(by: .primitives)), ["mul", "exp", "add", "reciprocal", "mul"])
    let once = try silu.decomposed(by: .primitives)
    XCTAssertEqual("\(try once.decomposed(by: .primitives))", "\(once)")
  }

  func testWritesStayWrites() throws {
    let after = try graph { try $0.silu_() }.decomposed(by: .coreATen)
    XCTAssertEqual(targets(after), ["sigmoid", "mul", "copy_"])
  }

  func testLayoutAndMemoryAreTheOperators() throws {
    // The body gives its argument, and other strides than the operator's.
    let table = DecompositionTable.none.adding(OperatorLibrary.tanh) { $0.arguments[0] }
      .adding(OperatorLibrary.exp) { .reference(try $0.tensor(0).contiguous() + 1) }
    XCTAssertEqual(targets(try graph { try $0.tanh() }.decomposed(by: table)), ["clone"])
    let before = try graph { try $0.t().exp() }
    let after = try before.decomposed(by: table)
    func layout(_ graph: Graph) -> Layout? {
      graph.result.references.first.flatMap { graph[metadata: $0].tensor?.layout }
    }
    XCTAssertEqual(layout(after), layout(before))
    try GraphModule(after).validate(rerunningShapeRules: true)
  }

  func testWrongDecompositionsAreRefused() throws {
    func refusal(_ body: @escaping DecompositionTable.Body) throws -> String {
      let graph = try graph { try $0.tanh() }
      var message = ""
      XCTAssertThrowsError(try graph.decomposed(by: .none.adding(OperatorLibrary.tanh, body))) { message = "\($0)" }
      return message
    }
    let endless = try refusal { .reference(try $0.tensor(0).tanh()) }
    XCTAssertTrue(endless.contains("never ends: aten.tanh.default → aten.tanh.default"), endless)
    XCTAssertTrue(endless.contains("User.swift:7"), endless)
    let shape = try refusal { .reference(try $0.tensor(0).sum()) }
    XCTAssertTrue(shape.contains("sizes [] in the place of [2, 3]"), shape)
  }

  func testNoOperatorOfCoreATenIsAnotherOne() {
    XCTAssertTrue(OperatorLibrary.gelu.traits.contains(.core))
    XCTAssertFalse(OperatorLibrary.gelu.inPlace.traits.contains(.core))
    XCTAssertFalse(OperatorLibrary.silu.traits.contains(.core))
  }
}
