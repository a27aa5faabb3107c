import AOTAutograd
import XCTest

@testable import ModelFormats

/// Values, gradients and training steps are compared by `ModelConformanceTests`; here is what a model is besides.
final class ImportedModelTests: XCTestCase {
  func testParametersAndBuffersAreNamed() throws {
    let model = try SampleModels.model("classifier")
    XCTAssertEqual(
      model.parameters.map(\.name),
      ["inner.weight", "inner.bias", "norm.weight", "norm.bias", "outer.weight", "outer.bias"])
    XCTAssertEqual(model.buffers.map(\.name), ["norm.running_mean", "norm.running_var", "norm.num_batches_tracked"])
    XCTAssertTrue(model.parameters.allSatisfy { $0.tensor.requiresGrad && $0.tensor.isLeaf })
    XCTAssertEqual(model.inputNames, ["x", "y"])
    XCTAssertEqual(model.outputs, [.result, .result])
  }

  func testTiedParametersAreOneAndFrozenOnesStay() throws {
    let model = try SampleModels.model("tied")
    XCTAssertEqual(model.parameters.map(\.name), ["scale", "embedding.weight"])
    XCTAssertEqual(model.tiedNames, ["head.weight": "embedding.weight"])
    XCTAssertEqual(model.parameters.map(\.tensor.requiresGrad), [false, true])
    XCTAssertTrue(model.module.attribute("head.weight") === model.parameters[1].tensor)
  }

  func testBuffersShareTheMemoryTheyShared() throws {
    let model = try SampleModels.model("tied")
    let buffers = Dictionary(uniqueKeysWithValues: model.buffers.map { ($0.name, $0.tensor) })
    let (low, high) = (try XCTUnwrap(buffers["low"]), try XCTUnwrap(buffers["high"]))
    XCTAssertTrue(low.storage === high.storage)
    XCTAssertEqual(high.strides, [4, 1])
    // The last element of `low` is element 4 of the storage; `high` begins at 6.
    XCTAssertEqual(low.layout.offset, 1)
    XCTAssertEqual(buffers["nothing"]?.shape, [0, 3])
    XCTAssertEqual(buffers["temporary"]?.shape, [4])
    XCTAssertEqual(model.constants.count, 1)
  }

  func testArgumentsAndResultsNestAsExported() throws {
    let model = try SampleModels.model("tied")
    let tensors = try SampleModels.inputs("tied")
    let arguments: [Value] = [
      .reference(tensors[0]), .tuple([.reference(tensors[1]), .reference(tensors[2])]),
      .dictionary([.init(key: "shift", value: .reference(tensors[3]))]), .int(3), .string("mean"), .none,
    ]
    for call in [model.call, model.compiled().call] {
      let result = try call(arguments, [:])
      guard case .tuple(let parts) = result, parts.count == 2, case .dictionary(let entries) = parts[1] else {
        return XCTFail("\(result)")
      }
      XCTAssertEqual(entries.map(\.key), ["logits", "twice"])
      let loss = try XCTUnwrap(parts[0].reference).item().doubleValue
      XCTAssertEqual(
        try XCTUnwrap(entries[1].value.elements?[0].reference).item().doubleValue, 2 * loss, accuracy: 1e-5)
    }
    var others = arguments
    others[3] = .int(4)
    for (arguments, message) in [
      (others, "exported for 3, got 4"), (Array(arguments.dropLast()), "needs 6 values, got 5"),
      ([arguments[0], arguments[0]] + arguments[2...], "has not the structure"),
      (arguments[..<2] + [.dictionary([])] + arguments[3...], "needs the keys [\"shift\"]"),
    ] {
      XCTAssertThrowsError(try model.call(Array(arguments))) { XCTAssertTrue("\($0)".contains(message), "\($0)") }
    }
  }

  func testSizesAndTypesOfInputsAreChecked() throws {
    let model = try SampleModels.model("classifier")
    let (x, y) = (try Tensor.zeros([3, 6]), try Tensor.zeros([3], dtype: .int64))
    for (inputs, message) in [
      ([x], "takes 2 tensors (x, y), got 1"),
      ([try Tensor.zeros([3, 5]), y], "size 1 of input 'x' is 5; the program was exported for 6"),
      ([x, try Tensor.zeros([3])], "argument 'y': needs i64["),
      ([x, try Tensor.zeros([4], dtype: .int64)], "size 0 of input 'y' is 4"),
      ([try Tensor.zeros([6]), y], "argument 'x': needs f32["),
      ([try Tensor.zeros([17, 6]), try Tensor.zeros([17], dtype: .int64)], "outside of 2…16"),
    ] {
      XCTAssertThrowsError(try model(inputs)) { XCTAssertTrue("\($0)".contains(message), "\($0)") }
      XCTAssertThrowsError(try model.compiled()(inputs)) { XCTAssertTrue("\($0)".contains(message), "\($0)") }
    }
    XCTAssertNoThrow(try model([x, y]))
  }

  func testDerivedSizesAreSolved() throws {
    let model = try SampleModels.model("sizes")
    XCTAssertNoThrow(try model([try Tensor.zeros([8, 2])]))
    for (size, message) in [(7, "size 0 of input 'x' is 7, but"), (18, "outside of")] {
      XCTAssertThrowsError(try model([try Tensor.zeros([size, 2])])) {
        XCTAssertTrue("\($0)".contains(message), "\($0)")
      }
    }
  }

  func testABranchIsCompiledForEachSide() throws {
    let (eager, compiled) = (try SampleModels.model("branches"), try SampleModels.model("branches").compiled())
    let x = try SampleModels.inputs("branches")[0]
    for (flag, count) in [(true, 1), (false, 1), (true, 3)] {
      let inputs = [x, try Tensor([flag], shape: []), try Tensor([count], shape: [])]
      XCTAssertEqual(
        try eager(inputs)[0].item().doubleValue, try compiled(inputs)[0].item().doubleValue, accuracy: 1e-5)
    }
    let inputs = [x, try Tensor([true], shape: []), try Tensor([4], shape: [])]
    XCTAssertThrowsError(try eager(inputs))
    XCTAssertThrowsError(try compiled(inputs))
  }

  func testTheProgramPrintsAndReadsBack() throws {
    for name in ["plain", "classifier", "tied", "functional", "joint", "sizes"] {
      let graph = try SampleModels.model(name).module.graph
      XCTAssertNoThrow(try graph.validate(), name)
      let text = graph.description
      XCTAssertEqual(try Graph(parsing: text, operators: ImportedModel.operators).description, text, name)
    }
  }

  func testNodesKnowTheirSource() throws {
    let graph = try SampleModels.model("plain").module.graph
    let linear = try XCTUnwrap(graph.node(named: "linear"))
    XCTAssertEqual(graph[linear].metadata.source.map { $0.file.hasSuffix(".py") }, true)
  }

  func testACompiledModelHasStages() throws {
    let model = try SampleModels.model("classifier")
    let stages = try model.compiled().stages(try model.exampleInputs())
    XCTAssertNotNil(stages.joint)
    XCTAssertTrue(stages.captured.description.contains("aten.add_.Tensor"))
  }

  func testWritesStayOutOfTheFile() throws {
    let before = try SampleModels.bytes("classifier")
    let model = try SampleModels.model("classifier")
    _ = try model(SampleModels.inputs("classifier"))
    _ = try noGrad { try model.parameters[0].tensor.zero_() }
    XCTAssertEqual(try SampleModels.bytes("classifier"), before)
  }
}
