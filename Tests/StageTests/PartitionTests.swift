import AOTArtifacts
import GraphIR
import Partitioning
import TensorCore
import XCTest

/// Joint graphs as derivatives write them, and the exact halves each partitioner makes of them.
final class PartitionTests: XCTestCase {
  typealias Op = PartitionTestOperator

  /// y = f3(f2(f1(x))), each derivative needing the result of its operator.
  private func chain(tags: [RecomputeTag?] = [nil, nil, nil], sizes: [Int] = [10, 10, 10]) -> Graph {
    var joint = JointGraphBuilder()
    let x = joint.input("x")
    let g = joint.tangent()
    let a = joint.call(Op.pointwise, "a", [x], sizes[0], tag: tags[0])
    let b = joint.call(Op.pointwise, "b", [a], sizes[1], tag: tags[1])
    let c = joint.call(Op.pointwise, "c", [b], sizes[2], tag: tags[2])
    let gc = joint.call(Op.pointwise, "gc", [g, c], backward: true)
    let gb = joint.call(Op.pointwise, "gb", [gc, b], backward: true)
    let ga = joint.call(Op.pointwise, "ga", [gb, a], backward: true)
    joint.output([c], gradients: [ga])
    return joint.graph
  }

  func testDefaultSavesWhatBackwardUses() throws {
    let result = try DefaultPartition().partition(chain(), forwardOutputCount: 1)
    XCTAssertEqual(result.forward.nodeNames, ["x", "a", "b", "c"])
    XCTAssertEqual(result.forward.resultNames, ["c", "a", "b", "c"])
    XCTAssertEqual(result.backward.nodeNames, ["a", "b", "c", "tangent", "gc", "gb", "ga"])
    XCTAssertEqual(result.backward.resultNames, ["ga"])
    XCTAssertEqual(result.savedTensors.map(\.origin), [.computed, .computed, .output(0)])
    XCTAssertEqual(result.savedTensors.map(\.reason), [.used, .used, .used])
    XCTAssertEqual(result.savedByteCount, 30)
    XCTAssertEqual(result.recomputed, [])
    XCTAssertNil(result.cut)
  }

  func testDescriptorsFollowTheHalves() throws {
    let result = try DefaultPartition().partition(chain(), forwardOutputCount: 1)
    XCTAssertEqual(result.forward.outputDescriptors, [.output(0), .saved(0), .saved(1), .saved(2)])
    XCTAssertEqual(result.backward.outputDescriptors, [.gradient(of: .input(0))])
    XCTAssertEqual(
      result.backward.placeholders.map { result.backward[$0].metadata.descriptor },
      [.saved(0), .saved(1), .saved(2), .tangent(of: .output(0))])
    XCTAssertEqual(result.forward.placeholders.map { result.forward[$0].metadata.descriptor }, [.input(0)])
  }

  func testPointwiseChainIsRecomputedFromItsInput() throws {
    let result = try MinCutPartition().partition(chain(), forwardOutputCount: 1)
    // c is returned anyway and saves computing it again; x has as many bytes as a or b alone, and is there anyway.
    XCTAssertEqual(result.savedNames, ["x", "c"])
    XCTAssertEqual(result.savedTensors.map(\.reason), [.input, .output])
    XCTAssertEqual(result.recomputedNames, ["a", "b"])
    XCTAssertEqual(result.recomputed.map(\.reason), [.cheaper, .cheaper])
    XCTAssertEqual(result.cut, CutSummary(cutValue: 10, flowValue: 10))
    XCTAssertEqual(result.forward.resultNames, ["c", "x", "c"])
    // a and b are computed just before their use, not before gc.
    XCTAssertEqual(result.backward.nodeNames, ["x", "c", "tangent", "gc", "a", "b", "gb", "ga"])
  }

  func testTheNarrowPlaceIsSaved() throws {
    let result = try MinCutPartition(policy: .bare).partition(chain(sizes: [3, 20, 20]), forwardOutputCount: 1)
    XCTAssertEqual(result.savedNames, ["a"])
    XCTAssertEqual(result.recomputedNames, ["b", "c"])
    XCTAssertEqual(result.cut, CutSummary(cutValue: 3, flowValue: 3))
    XCTAssertEqual(result.backward.nodeNames, ["a", "tangent", "b", "c", "gc", "gb", "ga"])
  }

  /// loss = relu(x W1) W2, as its derivative is written: the mask from the result of relu.
  private func perceptron() -> Graph {
    var joint = JointGraphBuilder()
    let x = joint.input("x", 100)
    let w1 = joint.parameter("w1", 50)
    let w2 = joint.parameter("w2", 20)
    let g = joint.tangent("g", 8)
    let h = joint.call(Op.matmul, "h", [x, w1], 40)
    let a = joint.call(Op.pointwise, "a", [h], 40)
    let y = joint.call(Op.matmul, "y", [a, w2], 8)
    let at = joint.call(Op.view, "at", [a], 40, backward: true)
    let gw2 = joint.call(Op.matmul, "gw2", [at, g], 20, backward: true)
    let w2t = joint.call(Op.view, "w2t", [w2], 20, backward: true)
    let ga = joint.call(Op.matmul, "ga", [g, w2t], 40, backward: true)
    let mask = joint.call(Op.pointwise, "mask", [a], 10, backward: true)
    let gh = joint.call(Op.pointwise, "gh", [ga, mask], 40, backward: true)
    let xt = joint.call(Op.view, "xt", [x], 100, backward: true)
    let gw1 = joint.call(Op.matmul, "gw1", [xt, gh], 50, backward: true)
    joint.output([y], gradients: [nil, gw1, gw2])
    return joint.graph
  }

  func testPerceptronSavesTheActivationAndItsInputs() throws {
    for result in [
      try MinCutPartition().partition(perceptron(), forwardOutputCount: 1),
      try DefaultPartition().partition(perceptron(), forwardOutputCount: 1),
    ] {
      XCTAssertEqual(result.savedNames, ["x", "w2", "a"])
      XCTAssertEqual(result.savedTensors.map(\.origin), [.input, .input, .computed])
      XCTAssertEqual(result.savedByteCount, 40)
      XCTAssertEqual(result.forward.nodeNames, ["x", "w1", "w2", "h", "a", "y"])
      XCTAssertEqual(result.forward.resultNames, ["y", "x", "w2", "a"])
      XCTAssertEqual(result.backward.resultNames, [nil, "gw1", "gw2"])
    }
    let result = try MinCutPartition().partition(perceptron(), forwardOutputCount: 1)
    XCTAssertEqual(result.savedTensors[2].reason, .materializedInBackward)
    // x counts its bytes, the parameter is free.
    XCTAssertEqual(result.cut?.cutValue, 140)
    // Views and the mask belong to the derivative: they are computed once, in the backward graph.
    XCTAssertEqual(result.recomputed, [])
  }

  func testDiamondIsCutWhereItIsNarrow() throws {
    var joint = JointGraphBuilder()
    let x = joint.input("x", 100)
    let g = joint.tangent()
    let narrow = joint.call(Op.pointwise, "narrow", [x], 5)
    let left = joint.call(Op.pointwise, "left", [narrow], 20)
    let right = joint.call(Op.pointwise, "right", [narrow], 20)
    let y = joint.call(Op.pointwise, "y", [left, right])
    let gl = joint.call(Op.pointwise, "gl", [g, right], backward: true)
    let gr = joint.call(Op.pointwise, "gr", [g, left], backward: true)
    let gx = joint.call(Op.pointwise, "gx", [gl, gr], backward: true)
    joint.output([y], gradients: [gx])
    let result = try MinCutPartition().partition(joint.graph, forwardOutputCount: 1)
    XCTAssertEqual(result.savedNames, ["narrow"])
    XCTAssertEqual(result.cut?.cutValue, 5)
    XCTAssertEqual(result.backward.nodeNames, ["narrow", "tangent", "right", "gl", "left", "gr", "gx"])
    let plain = try DefaultPartition().partition(joint.graph, forwardOutputCount: 1)
    XCTAssertEqual(plain.savedNames, ["left", "right"])
    XCTAssertEqual(plain.savedByteCount, 40)
  }

  func testValuesOnlyBackwardNeedsMayBeComputedEarlyWhenThatIsSmaller() throws {
    // The derivative of a switch needs one byte for every four of its argument.
    var joint = JointGraphBuilder()
    let x = joint.input("x", 40)
    let g = joint.tangent("g", 40)
    let y = joint.call(Op.pointwise, "y", [x], 40)
    let mask = joint.call(Op.pointwise, "mask", [x], 10, backward: true)
    let gx = joint.call(Op.pointwise, "gx", [g, mask], 40, backward: true)
    joint.output([y], gradients: [gx])
    let result = try MinCutPartition().partition(joint.graph, forwardOutputCount: 1)
    XCTAssertEqual(result.savedNames, ["mask"])
    XCTAssertEqual(result.forward.nodeNames, ["x", "y", "mask"])
    // Eager execution computes it in the backward pass.
    XCTAssertEqual(try DefaultPartition().partition(joint.graph, forwardOutputCount: 1).savedNames, ["x"])
  }

  // MARK: What is returned

  func testUnusedTangentsAndInputsStayInTheSignature() throws {
    var joint = JointGraphBuilder()
    let x = joint.input("x")
    _ = joint.input("unused")
    let g = joint.tangent("g")
    _ = joint.tangent("dead")
    let y = joint.call(Op.pointwise, "y", [x])
    _ = joint.call(Op.pointwise, "nowhere", [x])
    let gx = joint.call(Op.pointwise, "gx", [g, y], backward: true)
    joint.output([y, nil], gradients: [gx, nil])
    for result in [
      try DefaultPartition().partition(joint.graph, forwardOutputCount: 2),
      try MinCutPartition().partition(joint.graph, forwardOutputCount: 2),
    ] {
      XCTAssertEqual(result.forward.nodeNames, ["x", "unused", "y"])
      XCTAssertEqual(result.forward.resultNames, ["y", nil, "y"])
      XCTAssertEqual(result.backward.nodeNames, ["y", "g", "dead", "gx"])
      XCTAssertEqual(result.backward.resultNames, ["gx", nil])
    }
  }

  func testGradientsThatNeedNoTangent() throws {
    var joint = JointGraphBuilder()
    let x = joint.input("x")
    let g = joint.tangent("g")
    let y = joint.call(Op.pointwise, "y", [x])
    let ones = joint.call(Op.full, "ones", [], 10, backward: true)
    let table = joint.graph.getAttribute("table", metadata: NodeMetadata(value: JointGraphBuilder.meta(10)))
    let scaled = joint.call(Op.pointwise, "scaled", [table, ones], backward: true)
    joint.output([y], gradients: [x, ones, scaled, g, y])
    for result in [
      try DefaultPartition().partition(joint.graph, forwardOutputCount: 1),
      try MinCutPartition().partition(joint.graph, forwardOutputCount: 1),
    ] {
      XCTAssertEqual(result.savedNames, ["x", "y"])
      XCTAssertEqual(result.savedTensors[0].origin, .input)
      XCTAssertEqual(result.backward.nodeNames, ["x", "y", "g", "ones", "table", "scaled"])
      XCTAssertEqual(result.backward.resultNames, ["x", "ones", "scaled", "g", "y"])
    }
  }

  func testNoGradientsAtAll() throws {
    var joint = JointGraphBuilder()
    let x = joint.input("x")
    joint.output([joint.call(Op.pointwise, "y", [x])], gradients: [nil])
    let result = try MinCutPartition().partition(joint.graph, forwardOutputCount: 1)
    XCTAssertEqual(result.savedNames, [])
    XCTAssertEqual(result.backward.nodeNames, [])
    XCTAssertEqual(result.backward.resultNames, [nil])
    XCTAssertEqual(result.cut, CutSummary(cutValue: 0, flowValue: 0))
  }

  func testOutputsCostNothingUnlessTheyAreCopiedBackOrThePolicySaysSo() throws {
    func joint(_ descriptor: Descriptor) -> Graph {
      var joint = JointGraphBuilder()
      let x = joint.input("x", 6)
      let g = joint.tangent("g")
      let y = joint.call(Op.pointwise, "y", [x], 30)
      let gx = joint.call(Op.pointwise, "gx", [g, y], backward: true)
      joint.output([y], gradients: [gx])
      joint.graph.outputDescriptors[0] = descriptor
      return joint.graph
    }
    var counting = RecomputePolicy.standard
    counting.outputsAreFree = false
    XCTAssertEqual(try MinCutPartition().partition(joint(.output(0)), forwardOutputCount: 1).savedNames, ["y"])
    XCTAssertEqual(
      try MinCutPartition(policy: counting).partition(joint(.output(0)), forwardOutputCount: 1).savedNames, ["x"])
    XCTAssertEqual(
      try MinCutPartition().partition(joint(.mutated(.input(0))), forwardOutputCount: 1).savedNames, ["x"])
  }

  func testSameGraphSamePartition() throws {
    let results = try (0..<3).map { _ in try MinCutPartition().partition(perceptron(), forwardOutputCount: 1) }
    XCTAssertEqual(Set(results.map(\.savedTensors)).count, 1)
    XCTAssertEqual(Set(results.map(\.backward.nodeNames)).count, 1)
  }

  func testReportPrintsATable() throws {
    let report = try MinCutPartition(policy: .aggressive).partition(chain(), forwardOutputCount: 1).report
    XCTAssertEqual(
      report.description,
      """
      saved: 2 values, 10 bytes beside the inputs
        x  u8[10]  10  input                   an input, kept without a copy  Model.swift:1
        c  u8[10]  10  test.pointwise.default  returned anyway                Model.swift:5
      recomputed: 2 values
        a  u8[10]  10  test.pointwise.default  cheaper than saving it  Model.swift:3
        b  u8[10]  10  test.pointwise.default  cheaper than saving it  Model.swift:4
      cut: 10 bytes, flow: 10 bytes
      """)
  }
}
