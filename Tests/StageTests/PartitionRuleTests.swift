import AOTArtifacts
import GraphIR
import Partitioning
import TensorCore
import XCTest

/// What may be recomputed and what may be saved: operators, tags, views, tuples, writes, policies; and what is refused.
final class PartitionRuleTests: XCTestCase {
  typealias Op = PartitionTestOperator

  /// y = last(first(x)); the backward pass uses `last`, which is larger than x and `first`.
  private func graph(
    first: Op = .pointwise, last: Op = .pointwise, firstTag: RecomputeTag? = nil, lastTag: RecomputeTag? = nil,
    sizes: [Int] = [10, 20, 30]
  ) -> Graph {
    var joint = JointGraphBuilder()
    let x = joint.input("x", sizes[0])
    let g = joint.tangent()
    let a = joint.call(first, "a", [x], sizes[1], tag: firstTag)
    let b = joint.call(last, "b", [a], sizes[2], tag: lastTag)
    let y = joint.call(Op.sum, "y", [b], 1)
    let gx = joint.call(Op.pointwise, "gx", [g, b], backward: true)
    joint.output([y], gradients: [gx])
    return joint.graph
  }

  private func saved(_ graph: Graph, _ policy: RecomputePolicy = .standard) throws -> [String] {
    try MinCutPartition(policy: policy).partition(graph, forwardOutputCount: 1).savedNames
  }

  func testRandomAndEffectsRunOnce() throws {
    XCTAssertEqual(try saved(graph(), .bare), ["x"])
    for once in [Op.random, .effect] {
      XCTAssertEqual(try saved(graph(first: once), .bare), ["a"])
      XCTAssertEqual(try saved(graph(last: once), .bare), ["b"])
    }
    let result = try MinCutPartition().partition(graph(last: .random), forwardOutputCount: 1)
    XCTAssertEqual(result.savedTensors.map(\.reason), [.random])
    XCTAssertNil(result.backward.nodes.first { result.backward[$0].calls(Op.random) })
  }

  func testWhatOnlyTheBackwardGraphSeesMayBeOverwritten() throws {
    var joint = JointGraphBuilder()
    let x = joint.input("x")
    let g = joint.tangent()
    let alone = joint.call(Op.matmul, "alone", [x])
    let returned = joint.call(Op.matmul, "returned", [x])
    let viewed = joint.call(Op.matmul, "viewed", [x])
    let result = joint.call(Op.view, "result", [viewed])
    var gradient = g
    for saved in [x, alone, returned, viewed] {
      gradient = joint.call(Op.pointwise, "after\(saved.index)", [gradient, saved], backward: true)
    }
    joint.output([returned, result], gradients: [gradient])
    var partition = try DefaultPartition().partition(joint.graph, forwardOutputCount: 2)
    XCTAssertEqual(partition.savedNames, ["x", "alone", "returned", "viewed"])
    XCTAssertEqual(partition.donatedTensors, [1])
    // Hooks may give what others hold.
    partition.packedByteCount = 70
    XCTAssertEqual(partition.donatedTensors, [])
  }

  func testOnlyWhatFillsAStorageOfItsOwnMayBeOverwritten() {
    func saved(_ storage: String, _ sizes: [SymInt], offset: SymInt = 0, of byteCount: Int) -> SavedValue {
      var layout = Layout(contiguous: sizes)
      layout.offset = offset
      return SavedValue(
        name: "value", value: .reference(TensorMeta(dtype: .uint8, layout: layout)), byteCount: byteCount,
        storage: storage, origin: .computed, reason: .used)
    }
    let partition = Partition(
      forward: Graph(), backward: Graph(), forwardOutputCount: 0,
      savedTensors: [
        saved("whole", [10], of: 10), saved("begin", [8], of: 10), saved("end", [8], offset: 2, of: 10),
        saved("shared", [10], of: 10), saved("shared", [10], of: 10), saved("empty", [0], of: 0),
      ])
    XCTAssertEqual(partition.donatedTensors, [0])
  }

  func testEffectsStayInTheirHalf() throws {
    var joint = JointGraphBuilder()
    let x = joint.input("x")
    let g = joint.tangent("g")
    _ = joint.call(Op.effect, "log", [x])
    _ = joint.call(Op.effect, "logLate", [x], backward: true)
    _ = joint.call(Op.effect, "logTangent", [g])
    let noise = joint.call(Op.random, "noise", [x], backward: true)
    let gx = joint.call(Op.pointwise, "gx", [g, noise], backward: true)
    joint.output([x], gradients: [gx])
    for result in [
      try DefaultPartition().partition(joint.graph, forwardOutputCount: 1),
      try MinCutPartition().partition(joint.graph, forwardOutputCount: 1),
    ] {
      XCTAssertEqual(result.forward.nodeNames, ["x", "log"])
      XCTAssertEqual(result.backward.nodeNames, ["x", "g", "logLate", "logTangent", "noise", "gx"])
    }
  }

  func testPolicyBans() throws {
    for (op, reason) in [(Op.matmul, SaveReason.computeBound), (.sort, .unclassified)] {
      let result = try MinCutPartition().partition(graph(last: op), forwardOutputCount: 1)
      XCTAssertEqual(result.savedNames, ["b"])
      XCTAssertEqual(result.savedTensors.map(\.reason), [reason])
      XCTAssertEqual(try saved(graph(last: op), .bare), ["x"])
    }
    XCTAssertEqual(try saved(graph(last: .matmul), .aggressive), ["b"])
    XCTAssertEqual(try saved(graph(last: .sort), .aggressive), ["x"])
  }

  func testReductionsAreSavedWhenSmall() throws {
    let quarter = graph(last: .sum, sizes: [1, 40, 10])
    let third = graph(last: .sum, sizes: [1, 40, 11])
    XCTAssertEqual(try saved(quarter), ["b"])
    XCTAssertEqual(try saved(third), ["x"])
    var policy = RecomputePolicy.standard
    policy.reductionRatio = 3
    XCTAssertEqual(try saved(third, policy), ["b"])
    policy.reductionRatio = nil
    XCTAssertEqual(try saved(quarter, policy), ["x"])
  }

  func testTags() throws {
    XCTAssertEqual(try saved(graph(lastTag: .mustSave)), ["b"])
    XCTAssertEqual(try saved(graph(lastTag: .preferSave)), ["b"])
    XCTAssertEqual(try saved(graph(firstTag: .mustSave)), ["a"])
    // A tag comes before the policy.
    XCTAssertEqual(try saved(graph(last: .matmul, lastTag: .preferRecompute)), ["x"])
    XCTAssertEqual(try saved(graph(last: .matmul, lastTag: .mustRecompute)), ["x"])
    // Preferring to recompute leaves it to the cut, having to does not.
    XCTAssertEqual(try saved(graph(lastTag: .preferRecompute, sizes: [10, 10, 5])), ["b"])
    XCTAssertEqual(try saved(graph(lastTag: .mustRecompute, sizes: [10, 9, 5])), ["a"])
    XCTAssertEqual(try saved(graph(firstTag: .mustRecompute, lastTag: .mustRecompute, sizes: [99, 1, 1])), ["x"])
    let result = try MinCutPartition().partition(
      graph(lastTag: .mustRecompute, sizes: [10, 9, 5]), forwardOutputCount: 1)
    XCTAssertEqual(result.recomputed.map(\.reason), [.tag(.mustRecompute)])
  }

  func testDefaultPartitionHonoursWhatMustBeRecomputed() throws {
    let result = try DefaultPartition().partition(graph(lastTag: .mustRecompute), forwardOutputCount: 1)
    XCTAssertEqual(result.savedNames, ["a"])
    XCTAssertEqual(result.recomputedNames, ["b"])
  }

  func testConflictsAreThrownWithBothReasons() {
    XCTAssertThrowsError(
      try MinCutPartition().partition(graph(last: .random, lastTag: .mustRecompute), forwardOutputCount: 1)
    ) {
      XCTAssertEqual(
        "\($0)",
        "node 'b', Model.swift:4: the backward pass needs this value, which cannot be saved (it is tagged must_recompute) "
          + "nor recomputed (test.random.default is random)")
    }
  }

  // MARK: Views and tuples

  func testViewsAreReplacedByWhatTheyAreViewsOf() throws {
    var joint = JointGraphBuilder()
    let x = joint.input("x", 100)
    let g = joint.tangent("g")
    let slice = joint.call(Op.view, "slice", [x], 5)
    let h = joint.call(Op.matmul, "h", [slice], 40)
    let left = joint.call(Op.view, "left", [h], 20)
    let right = joint.call(Op.view, "right", [h], 20)
    let narrow = joint.call(Op.view, "narrow", [left], 2)
    let y = joint.call(Op.pointwise, "y", [left, right, narrow])
    let g1 = joint.call(Op.pointwise, "g1", [g, right, narrow], backward: true)
    let g2 = joint.call(Op.pointwise, "g2", [g1, left, slice], backward: true)
    joint.output([y], gradients: [g2])
    for result in [
      try DefaultPartition().partition(joint.graph, forwardOutputCount: 1),
      try MinCutPartition(policy: .bare).partition(joint.graph, forwardOutputCount: 1),
    ] {
      if result.cut != nil {
        // h could be computed from x, which is needed anyway.
        XCTAssertEqual(result.savedNames, ["x"])
        XCTAssertEqual(result.cut?.cutValue, 100)
      } else {
        XCTAssertEqual(result.savedNames, ["x", "h"])
        XCTAssertEqual(result.savedByteCount, 40)
        XCTAssertEqual(result.backward.nodeNames, ["x", "h", "g", "left", "right", "narrow", "g1", "slice", "g2"])
        XCTAssertEqual(Set(result.recomputed.map(\.reason)), [.view])
        XCTAssertEqual(result.recomputed.map(\.byteCount), [0, 0, 0, 0])
      }
    }
  }

  func testTaggedViewIsSavedItselfAndPinsItsBase() throws {
    var joint = JointGraphBuilder()
    let x = joint.input("x", 10)
    let g = joint.tangent("g")
    let h = joint.call(Op.matmul, "h", [x], 40)
    let part = joint.call(Op.view, "part", [h], 4, tag: .mustSave)
    let xv = joint.call(Op.view, "xv", [x], 4, tag: .mustSave)
    let y = joint.call(Op.pointwise, "y", [part, xv], 4)
    let gx = joint.call(Op.pointwise, "gx", [g, part, xv], backward: true)
    joint.output([y], gradients: [gx])
    let result = try MinCutPartition().partition(joint.graph, forwardOutputCount: 1)
    XCTAssertEqual(result.savedNames, ["part", "xv"])
    XCTAssertEqual(result.savedTensors.map(\.byteCount), [40, 10])
    XCTAssertEqual(result.savedTensors.map(\.storage), ["h", "x"])
    XCTAssertEqual(result.savedTensors.map(\.origin), [.computed, .viewOfInput])
    XCTAssertEqual(result.savedByteCount, 40)
  }

  func testExpandedViewCostsWhatItsBaseCosts() throws {
    var joint = JointGraphBuilder()
    let x = joint.input("x", 1)
    let g = joint.tangent("g")
    let layout = Layout(sizes: [1000], strides: [0])
    let wide = joint.call(Op.view, "wide", [x], value: .reference(TensorMeta(dtype: .uint8, layout: layout)))
    let y = joint.call(Op.pointwise, "y", [wide], 1000)
    let gx = joint.call(Op.pointwise, "gx", [g, wide], 1000, backward: true)
    joint.output([y], gradients: [gx])
    let result = try MinCutPartition().partition(joint.graph, forwardOutputCount: 1)
    XCTAssertEqual(result.savedNames, ["x"])
    XCTAssertEqual(result.cut?.cutValue, 1)
  }

  /// y, mean, rstd = normalize(x), all needed by the backward pass.
  private func tupleGraph(tag: RecomputeTag? = nil) -> Graph {
    var joint = JointGraphBuilder()
    let x = joint.input("x", 100)
    let g = joint.tangent("g")
    let parts = [100, 4, 4].map(JointGraphBuilder.meta)
    let all = joint.call(Op.sort, "all", [x], value: .tuple(parts))
    joint.graph[metadata: all].recompute = tag
    let y = joint.graph.getItem(all, 0, name: "y", metadata: NodeMetadata(value: parts[0]))
    let mean = joint.graph.getItem(all, 1, name: "mean", metadata: NodeMetadata(value: parts[1], isBackward: true))
    let rstd = joint.graph.getItem(all, 2, name: "rstd", metadata: NodeMetadata(value: parts[2], isBackward: true))
    let gx = joint.call(Op.pointwise, "gx", [g, mean, rstd], backward: true)
    joint.output([y], gradients: [gx])
    return joint.graph
  }

  func testPartsOfTuplesAreSaved() throws {
    for result in [
      try DefaultPartition().partition(tupleGraph(), forwardOutputCount: 1),
      try MinCutPartition().partition(tupleGraph(), forwardOutputCount: 1),
    ] {
      XCTAssertEqual(result.savedNames, ["mean", "rstd"])
      XCTAssertEqual(result.savedByteCount, 8)
      XCTAssertEqual(result.backward.nodeNames, ["mean", "rstd", "g", "gx"])
      if result.cut != nil { XCTAssertEqual(result.savedTensors.map(\.reason), [.unclassified, .unclassified]) }
    }
    XCTAssertEqual(try saved(tupleGraph(tag: .mustSave), .aggressive), ["mean", "rstd"])
    XCTAssertEqual(try saved(tupleGraph(tag: .mustRecompute)), ["x"])
  }

  func testTupleUsedAsAWholeCannotBeSaved() throws {
    var joint = JointGraphBuilder()
    let x = joint.input("x")
    let g = joint.tangent("g")
    let all = joint.call(Op.random, "all", [x], value: .tuple([JointGraphBuilder.meta(1), JointGraphBuilder.meta(2)]))
    let gx = joint.call(Op.pointwise, "gx", [g, all], backward: true)
    joint.output([x], gradients: [gx])
    XCTAssertThrowsError(try MinCutPartition().partition(joint.graph, forwardOutputCount: 1)) {
      XCTAssertEqual(($0 as? GraphError)?.node, "all")
      XCTAssertTrue("\($0)".contains("neither a tensor nor a number"), "\($0)")
    }
    XCTAssertThrowsError(try DefaultPartition().partition(joint.graph, forwardOutputCount: 1)) {
      XCTAssertEqual(($0 as? GraphError)?.node, "all")
    }
  }

  func testNumbersAreSavedApart() throws {
    var joint = JointGraphBuilder()
    let x = joint.input("x", 50)
    let g = joint.tangent("g")
    let size = joint.call(Op.sort, "size", [x], value: .int(7))
    let y = joint.call(Op.pointwise, "y", [x], 50)
    let h = joint.call(Op.matmul, "h", [y], 5)
    let gx = joint.call(Op.pointwise, "gx", [g, size, h], backward: true)
    joint.output([h], gradients: [gx])
    for result in [
      try DefaultPartition().partition(joint.graph, forwardOutputCount: 1),
      try MinCutPartition().partition(joint.graph, forwardOutputCount: 1),
    ] {
      XCTAssertEqual(result.savedTensors.map(\.name), ["h"])
      XCTAssertEqual(result.savedNumbers.map(\.name), ["size"])
      XCTAssertEqual(result.savedNumbers.map(\.byteCount), [8])
      XCTAssertEqual(result.forward.resultNames, ["h", "h", "size"])
      XCTAssertEqual(result.backward.nodeNames, ["h", "size", "g", "gx"])
    }
  }

  // MARK: Writes

  func testWrittenInputsAreNotSaved() throws {
    func graph(readsInput: Bool) -> Graph {
      var joint = JointGraphBuilder()
      let x = joint.input("x")
      let g = joint.tangent("g")
      let flat = joint.call(Op.view, "flat", [x])
      let y = joint.call(Op.pointwise, "y", [x])
      _ = joint.call(Op.write, "write", [flat, y])
      let gx = joint.call(Op.pointwise, "gx", [g, readsInput ? x : y], backward: true)
      joint.output([nil], gradients: [gx])
      return joint.graph
    }
    XCTAssertEqual(try saved(graph(readsInput: false), .bare), ["y"])
    XCTAssertThrowsError(try MinCutPartition().partition(graph(readsInput: true), forwardOutputCount: 1)) {
      XCTAssertEqual(
        "\($0)",
        "node 'x', Model.swift:1: the backward pass needs this value, which cannot be saved ('write' writes to it) nor "
          + "recomputed (it is an input)")
    }
    XCTAssertThrowsError(try DefaultPartition().partition(graph(readsInput: true), forwardOutputCount: 1))
  }

  // MARK: Heuristics

  func testLongChainsAreInterrupted() throws {
    var joint = JointGraphBuilder()
    let x = joint.input("x")
    let g = joint.tangent("g")
    var value = x
    var values: [NodeID] = []
    for index in 0..<20 {
      value = joint.call(Op.pointwise, "v\(index)", [value])
      values.append(value)
    }
    var gradient = g
    for (index, value) in values.enumerated().reversed() {
      gradient = joint.call(Op.pointwise, "g\(index)", [gradient, value], backward: true)
    }
    joint.output([nil], gradients: [gradient])
    var policy = RecomputePolicy.standard
    XCTAssertEqual(try saved(joint.graph, policy), ["x"])
    policy.longestFusibleChain = 8
    // Nothing of the forward pass is returned here, so all of it is the backward pass's to compute.
    XCTAssertEqual(try saved(joint.graph, policy), ["x"])
    joint.graph.setOutput(.tuple([.reference(value), .reference(gradient)]))
    XCTAssertEqual(try saved(joint.graph, policy), ["x", "v8", "v17", "v19"])
  }

  func testUsesFarApartAreSaved() throws {
    var joint = JointGraphBuilder()
    let x = joint.input("x", 4)
    let g = joint.tangent("g")
    let a = joint.call(Op.pointwise, "a", [x], 8)
    let near = joint.call(Op.pointwise, "near", [a], 8)
    let far1 = joint.call(Op.matmul, "far1", [near], 6)
    let far2 = joint.call(Op.pointwise, "far2", [a, far1], 8)
    let g1 = joint.call(Op.pointwise, "g1", [g, far2, near], backward: true)
    let y = joint.call(Op.matmul, "y", [far2], 8)
    joint.output([y], gradients: [g1])
    let result = try MinCutPartition().partition(joint.graph, forwardOutputCount: 1)
    XCTAssertEqual(result.savedNames, ["x", "far2"])
    XCTAssertEqual(result.savedTensors.map(\.reason), [.input, .usedFarApart])
    var policy = RecomputePolicy.standard
    policy.savesUsedFarApart = false
    XCTAssertEqual(try saved(joint.graph, policy), ["x", "far1"])
  }

  // MARK: Malformed graphs

  func testWhatIsNoJointGraphIsRefused() throws {
    func assertRefused(_ graph: Graph, count: Int = 1, _ message: String, line: UInt = #line) {
      for partition in [
        MinCutPartition().partition(_:forwardOutputCount:), DefaultPartition().partition(_:forwardOutputCount:),
      ] {
        XCTAssertThrowsError(try partition(graph, count), line: line) {
          XCTAssertTrue("\($0)".contains(message), "\($0)", line: line)
        }
      }
    }
    assertRefused(Graph(), "returns one tuple")
    assertRefused(graph(), count: 3, "2 results cannot have 3 forward outputs")
    assertRefused(graph(), count: -1, "cannot have -1 forward outputs")
    assertRefused(graph(), count: 2, "node 'gx', Model.swift:6: is a forward output and depends on a tangent")

    var nameless = graph()
    let x = try XCTUnwrap(nameless.node(named: "x"))
    nameless[metadata: x].descriptor = nil
    assertRefused(nameless, "needs a descriptor")

    var miscounted = graph()
    miscounted.outputDescriptors.append(.output(9))
    assertRefused(miscounted, "3 output descriptors describe 2 results")

    var unordered = graph()
    try unordered.move(XCTUnwrap(unordered.node(named: "a")), to: .after(XCTUnwrap(unordered.node(named: "b"))))
    assertRefused(unordered, "node 'b': uses a value before it is computed")

    var shapeless = graph()
    try shapeless[metadata: XCTUnwrap(shapeless.node(named: "b"))].value = nil
    assertRefused(shapeless, "has no metadata")

    var huge = graph()
    let meta = TensorMeta(dtype: .float64, layout: Layout(sizes: [SymInt(1 << 61)], strides: [1]))
    try huge[metadata: XCTUnwrap(huge.node(named: "b"))].value = .reference(meta)
    assertRefused(huge, "too large")
  }
}
