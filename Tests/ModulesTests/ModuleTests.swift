import Modules
import XCTest

/// How modules find what is inside them, and what can be done with it.
final class ModuleTests: XCTestCase {
  private final class Block: Module, Layer {
    let norm: LayerNorm
    let inner: Linear?
    init(_ width: Int, hasInner: Bool) throws {
      norm = try LayerNorm(width)
      inner = hasInner ? try Linear(width, width) : nil
    }
    func callAsFunction(_ x: Tensor) throws -> Tensor { try inner?(norm(x)) ?? norm(x) }
  }

  private class Base: Module {
    @Parameter var firstScale: Tensor
    override init() { firstScale = Tensor.three }
  }

  private struct Heads {
    let left, right: Linear
  }

  private final class Model: Base {
    @Parameter var scales: [Tensor]
    @Parameter var missing: Tensor?
    @Buffer var runningSum: Tensor
    @Buffer var mask: Tensor
    let layers: [Block]
    let heads: Heads
    let byName: [String: Linear]
    let numbers = [Float](repeating: 0, count: 1_000_000)
    let plain = Tensor.three
    weak var parent: Model?
    lazy var late = try? Linear(1, 1)

    override init() {
      scales = [.three, .three]
      missing = nil
      runningSum = .three
      _mask = Buffer(wrappedValue: .three, persistent: false)
      layers = [true, false].compactMap { try? Block(2, hasInner: $0) }
      let make = { (try? Linear(1, 1, bias: false)) ?? Linear.placeholder }
      heads = Heads(left: make(), right: make())
      byName = ["b": make(), "a": make()]
      super.init()
    }
  }

  func testNamesAreThoseOfPyTorch() throws {
    let model = Model()
    model.parent = model
    let expected = [
      "first_scale", "scales.0", "scales.1", "layers.0.norm.weight", "layers.0.norm.bias", "layers.0.inner.weight",
      "layers.0.inner.bias", "layers.1.norm.weight", "layers.1.norm.bias", "heads.left.weight", "heads.right.weight",
      "by_name.a.weight", "by_name.b.weight",
    ]
    XCTAssertEqual(model.namedParameters.map(\.name), expected)
    XCTAssertEqual(model.namedBuffers.map(\.name), ["running_sum", "mask"])
    XCTAssertEqual(Set(try model.stateDict.names), Set(expected + ["running_sum"]))
    XCTAssertEqual(model.namedModules.map(\.name).prefix(4), ["", "layers.0", "layers.0.norm", "layers.0.inner"])
    XCTAssertNotNil(model.late)
    XCTAssertTrue(model.namedParameters.contains { $0.name == "late.weight" })
    XCTAssertTrue(model.parameters.allSatisfy { $0.isLeaf && $0.requiresGrad })
    XCTAssertFalse(model.buffers.contains { $0.requiresGrad } || model.plain.requiresGrad)
  }

  func testSharedModulesAndParametersAreListedOnceAndSavedUnderAllNames() throws {
    let shared = try Linear(2, 2, bias: false)
    let model = Sequential(shared, ReLU(), shared)
    XCTAssertEqual(model.namedParameters.map(\.name), ["0.weight"])
    XCTAssertEqual(try model.stateDict.names, ["0.weight", "2.weight"])
    XCTAssertEqual(model.parameterCount, 4)

    let tied = try Linear(2, 2)
    tied.weight = shared.weight
    XCTAssertEqual(Sequential(shared, tied).namedParameters.map(\.name), ["0.weight", "1.bias"])
  }

  func testTrainingModeReachesAllModules() throws {
    let model = Sequential(try Dropout(0.5), Sequential(try Dropout(0.5)))
    XCTAssertTrue(model.namedModules.allSatisfy { $0.module.isTraining })
    model.eval()
    XCTAssertTrue(model.namedModules.allSatisfy { !$0.module.isTraining })
    let x = try Tensor.ones([8])
    XCTAssertEqual(try elements(model(x)), try elements(x))
    model.train()
    XCTAssertNotEqual(try Generator(seed: 0).use { try elements(model(x)) }, try elements(x))
  }

  func testFrozenParametersGetNoGradients() throws {
    let model = Sequential(try Linear(2, 2), try Linear(2, 1))
    try model.layers[0].setRequiresGrad(false)
    try model(Tensor.ones([1, 2])).sum().backward()
    XCTAssertEqual(model.parameters.map { $0.grad != nil }, [false, false, true, true])
    model.zeroGrad()
    XCTAssertTrue(model.parameters.allSatisfy { $0.grad == nil })
  }

  func testLoadingKeepsTensorsAndChecksEverythingFirst() throws {
    let (model, other) = (try Linear(2, 3), try Linear(2, 3))
    let weight = model.weight
    try model.load(other.stateDict)
    XCTAssertTrue(model.weight === weight)
    XCTAssertEqual(try elements(weight), try elements(other.weight))

    let before = try elements(weight)
    let wrong = try StateDict([
      NamedTensor("weight", .ones([2, 3])), NamedTensor("bias", .ones([3], dtype: .float64)),
      NamedTensor("extra", .ones([1])),
    ])
    assertThrows(.unexpectedName, "'extra'") { try model.load(wrong) }
    assertThrows(.shapeMismatch, "[2, 3] where [3, 2]") { try model.load(wrong, strict: false) }
    assertThrows(.dtypeMismatch, "float64") {
      try model.load(StateDict([NamedTensor("bias", .ones([3], dtype: .float64))]), strict: false)
    }
    assertThrows(.missingName, "'bias' is missing") {
      try model.load(StateDict([NamedTensor("weight", .ones([3, 2]))]))
    }
    XCTAssertEqual(try elements(weight), before)

    let difference = try model.load(
      StateDict([NamedTensor("weight", .ones([3, 2])), NamedTensor("extra", .ones([1]))]), strict: false)
    XCTAssertEqual(difference.missing, ["bias"])
    XCTAssertEqual(difference.unexpected, ["extra"])
    XCTAssertEqual(try elements(weight), [1, 1, 1, 1, 1, 1])
  }

  func testNamesAreUnique() throws {
    assertThrows(.duplicateName, "'a'") { try StateDict([NamedTensor("a", .three), NamedTensor("a", .three)]) }
  }

  func testSizesThatMakeNoSenseAreRefused() throws {
    assertThrows(.invalidSetting) { try Linear(0, 3) }
    assertThrows(.invalidSetting) { try Conv2d(3, 4, kernelSize: 3, groups: 2) }
    assertThrows(.invalidSetting, "kernelSize") { try Conv2d(2, 4, kernelSize: [3]) }
    assertThrows(.invalidSetting, "stride") { try Conv1d(2, 4, kernelSize: 1, stride: 0) }
    assertThrows(.invalidSetting, "padding") { try AvgPool2d(2, padding: -1) }
    assertThrows(.invalidSetting) { try MultiheadAttention(5, heads: 2) }
    assertThrows(.invalidSetting) { try Dropout(1.5) }
    assertThrows(.invalidSetting) { try GroupNorm(groups: 3, channels: 4) }
    assertThrows(.invalidSetting) { try Embedding(3, 2, paddingIndex: 3) }
    assertThrows(.shapeMismatch, "BatchNorm1d of 3 channels") { try BatchNorm1d(3)(.ones([2, 4])) }
    assertThrows(.shapeMismatch) { try MultiheadAttention(4, heads: 2)(.ones([2, 4])) }
  }

  func testDescriptionShowsTheTree() throws {
    let model = Sequential(try Linear(2, 3), Sequential(ReLU()))
    XCTAssertEqual(
      "\(model)",
      """
      Sequential(
        (0): Linear(2, 3, bias: true)
        (1): Sequential(
          (0): ReLU()
        )
      )
      """)
  }
}

extension Tensor {
  /// f32[3], zeros
  fileprivate static var three: Tensor { (try? .zeros([3])) ?? Tensor.unavailable }
  private static var unavailable: Tensor { preconditionFailure("out of memory") }
}

extension Linear {
  fileprivate static var placeholder: Linear { preconditionFailure("out of memory") }
}
