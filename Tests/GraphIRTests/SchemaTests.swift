import Foundation
import TensorCore
import XCTest

@testable import GraphIR

final class SchemaTests: XCTestCase {
  /// One schema for each form that the language has.
  static let samples = [
    "aten::add_.Tensor(Tensor(a!) self, Tensor other, *, Scalar alpha=1) -> Tensor(a!)",
    "aten::unbind.int(Tensor(a -> *) self, int dim=0) -> Tensor(a)[]",
    "aten::max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
    "aten::index.Tensor(Tensor self, Tensor?[] indices) -> Tensor",
    "aten::sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    "aten::batch_norm(Tensor input, float momentum, float eps=1.0000000000000001e-05, float p=0., Scalar q=-2) -> Tensor",
    "aten::gelu(Tensor self, *, str approximate=\"none\") -> Tensor",
    "aten::conv2d(Tensor x, SymInt[2] stride=[1, 1], int[] dims=[0, 1], int[1] none=[], SymInt[1]? d=None) -> Tensor",
    "aten::max_pool2d(Tensor self, int[2] k, int[2] stride=[], int[2] padding=0, int[2] p=[0, 1]) -> Tensor",
    "aten::sym_is_contiguous(Tensor self) -> SymBool",
    "aten::clone(Tensor self, *, MemoryFormat? memory_format=None, MemoryFormat other=0) -> Tensor",
    "aten::rand(SymInt[] size, *, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    "aten::randn(SymInt[] size, *, Generator? generator, float big=-0., float huge=1.0000000000000001e+300) -> Tensor",
    "aten::convolution_backward(Tensor g, bool[3] output_mask, float[]? scales) -> (Tensor, Tensor, Tensor)",
    "my_namespace::nothing() -> ()",
    "aten::foreach_(Tensor(a!)[] self, Tensor(b|c) other, Tensor(d! -> d|*) last) -> Tensor(a!)[]",
  ]

  func testSchemasPrintBackExactly() throws {
    for text in Self.samples { XCTAssertEqual(try OperatorSchema(parsing: text).description, text) }
  }

  func testAllSchemasOfPyTorchPrintBackExactly() throws {
    struct Entry: Decodable { var schema: String }
    let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let file = package.appendingPathComponent("../shared/conformance/ops/schemas.json")
    guard let data = try? Data(contentsOf: file) else { throw XCTSkip("the conformance data is not here") }
    let entries = try JSONDecoder().decode([String: Entry].self, from: data)
    XCTAssertEqual(entries.count, 699)
    for (name, entry) in entries {
      let schema = try OperatorSchema(parsing: entry.schema)
      XCTAssertEqual(schema.description, entry.schema)
      XCTAssertEqual(schema.name.description, "aten.\(name)")
    }
  }

  func testSpellingsOfTheFunctionListAreReadToo() throws {
    let schema = try OperatorSchema(
      parsing:
        "f(Tensor self, int r=Mean, MemoryFormat m=contiguous_format, ScalarType d=long, float e=1e-05, int[2] s=3)"
        + " -> Tensor")
    XCTAssertEqual(schema.name, OperatorName("aten", "f"))
    XCTAssertEqual(
      schema.parameters.map(\.defaultValue),
      [
        nil, .int(1), .memoryFormat(.contiguous), .dtype(.int64), .double(1e-05), .list([.int(3), .int(3)]),
      ])
    XCTAssertEqual(
      schema.description,
      "aten::f(Tensor self, int r=1, MemoryFormat m=0, ScalarType d=4, float e=1.0000000000000001e-05, int[2] s=3)"
        + " -> Tensor")
    XCTAssertEqual(try OperatorSchema(parsing: schema.description), schema)
  }

  func testAliasAnnotationsAreKept() throws {
    let schema = try OperatorSchema(parsing: "f(Tensor(a!) x, Tensor(b -> *) y) -> (Tensor(a!), Tensor(b)[])")
    XCTAssertEqual(schema.parameters[0].alias, AliasAnnotation(["a"], isWrite: true))
    XCTAssertEqual(schema.parameters[1].alias, AliasAnnotation(["b"], setsAfter: ["*"]))
    XCTAssertEqual(schema.returns[1].type, .list(.tensor, count: nil))
    XCTAssertTrue(schema.isMutating)
    XCTAssertFalse(schema.isView)
  }

  func testMalformedSchemasSayWhere() {
    for (text, part) in [
      ("", "1:1: found the end of the text, expected an operator's name"),
      ("f(Tensor self", "expected ',' or ')'"),
      ("f(Tensr self) -> Tensor", "1:3: 'Tensr' is not a type"),
      ("f(Tensor self, Tensor self) -> ()", "two parameters are named 'self'"),
      ("f(int x=99999999999999999999) -> ()", "does not fit into 64 bits"),
      ("f(int x=-9223372036854775807) -> ()", "out of range"),
      ("f(bool x=2) -> ()", "the int 2 is not a default of type bool"),
      ("f(*, int a, *, int b) -> ()", "a second '*'"),
      ("f() -> Tensor extra more", "expected the end of the schema"),
      ("f(int[9999999] x=1) -> ()", "is not a default of type int[9999999]"),
      ("f(str x=\"abc) -> ()", "the string does not end"),
    ] {
      XCTAssertThrowsError(try OperatorSchema(parsing: text), text) { error in
        XCTAssertTrue("\(error)".contains(part), "\(error)")
      }
    }
  }
}

final class SchemaBindingTests: XCTestCase {
  private let sum = try! OperatorSchema(
    parsing: "sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor")
  private let x = GraphArgument.reference(NodeID(0))

  func testDefaultsAreFilledInAndArgumentsTakeTheFormOfTheirType() throws {
    XCTAssertEqual(try sum.bind([x, .int(2)]), [x, .list([.int(2)]), .bool(false), .none])
    XCTAssertEqual(
      try sum.bind([x, .tuple([.int(0), .int(1)])], keywords: [("dtype", .dtype(.int64)), ("keepdim", .bool(true))]),
      [x, .list([.int(0), .int(1)]), .bool(true), .dtype(.int64)])
    let pool = try OperatorSchema(
      parsing: "p(Tensor x, int[2] k, float e=0., Layout? l=None, bool? pin=None) -> Tensor")
    XCTAssertEqual(
      try pool.bind([x, .int(3), .int(1)], keywords: [("l", .string("strided")), ("pin", .bool(false))]),
      [x, .list([.int(3), .int(3)]), .double(1), .string("strided"), .bool(false)])
  }

  func testWrongCallsNameOperatorAndParameter() {
    func check(
      _ positional: [GraphArgument], _ keywords: [(name: String, value: GraphArgument)], _ message: String,
      line: UInt = #line
    ) {
      XCTAssertThrowsError(try sum.bind(positional, keywords: keywords), line: line) { error in
        XCTAssertEqual("\(error)", "aten.sum.dim_IntList: \(message)", line: line)
      }
    }
    check([x], [], "'dim' of type int[1]? is missing")
    check([x, .string("a")], [], "'dim' needs int[1]?, got the string \"a\"")
    check([x, .list([.int(1), .double(0.5)])], [], "'dim' needs int[1]?, got a list of 2, the first the int 1")
    check([x, .none], [("self", x)], "'self' is given twice, by position and by name")
    check([x, .none], [("keepdim", .bool(true)), ("keepdim", .bool(true))], "'keepdim' is given twice by name")
    check(
      [x, .none], [("axis", .int(1))],
      "has no parameter 'axis'; its parameters are 'self', 'dim', 'keepdim', 'dtype'")
    check(
      [x, .none, .bool(true), .none], [], "takes 3 positional arguments, got 4; 'dtype' must be given by name")
  }

  func testReferencesToTensorsFitTensorsAlone() throws {
    let tensor = Value.reference(try Tensor([Float(1)]))
    XCTAssertThrowsError(try sum.bind([tensor, tensor]))
    XCTAssertEqual(try sum.bind([x, x])[1], x)
  }

  func testTheShortestCallBindsBack() throws {
    for bound: [GraphArgument] in [
      [x, .none, .bool(false), .none],
      [x, .list([.int(0)]), .bool(true), .dtype(.float32)],
      [x, .none, .bool(false), .dtype(.float32)],
    ] {
      let call = sum.shortestCall(bound)
      XCTAssertEqual(try sum.bind(call.positional, keywords: call.keywords), bound)
    }
    let call = sum.shortestCall([x, .none, .bool(false), .dtype(.float32)])
    XCTAssertEqual(call.positional, [x, .none])
    XCTAssertEqual(call.keywords.map(\.name), ["dtype"])
  }
}
