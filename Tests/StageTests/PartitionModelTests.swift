import AOTArtifacts
import GraphIR
import Partitioning
import TensorCore
import XCTest

/// The min-cut partition against every choice of saved values, on random joint graphs.
final class PartitionModelTests: XCTestCase {
  typealias Op = PartitionTestOperator

  /// A random joint graph together with the model's terms, stated independently of the partitioner. Values are numbered in
  /// execution order; those from `forwardCount` on need a tangent.
  private struct Problem {
    var graph = Graph()
    var forwardOutputCount = 0
    var inputs: [[Int]] = []
    var cost: [Int64] = []
    var isSavable: [Bool] = []
    var isRepeatable: [Bool] = []
    var forwardCount = 0
    var gradients: [Int] = []

    init(_ random: inout PartitionTestRandom) {
      var joint = JointGraphBuilder()
      var ids: [NodeID] = []
      func pick(_ random: inout PartitionTestRandom, from lower: Int = 0) -> [Int] {
        let count = Int.random(in: 1...3, using: &random)
        return Array(Set((0..<count).map { _ in Int.random(in: lower..<ids.count, using: &random) })).sorted()
      }
      for index in 0..<Int.random(in: 1...2, using: &random) {
        let bytes = Int.random(in: 0...9, using: &random)
        ids.append(joint.input("x\(index)", bytes))
        add([], bytes, isSavable: true, isRepeatable: false)
      }
      for index in 0..<Int.random(in: 1...9, using: &random) {
        let bytes = Int.random(in: 0...9, using: &random)
        let inputs = Int.random(in: 0..<8, using: &random) == 0 ? [] : pick(&random)
        let op = [Op.pointwise, .pointwise, .pointwise, .sort, .random].randomElement(using: &random) ?? .pointwise
        // No random draw must be recomputed, since that is an error.
        let tags: [RecomputeTag?] =
          op === Op.random ? [nil, nil, .mustSave] : [nil, nil, nil, .mustSave, .mustRecompute, .preferRecompute]
        let tag = tags.randomElement(using: &random) ?? nil
        ids.append(joint.call(op, "v\(index)", inputs.map { ids[$0] }, bytes, tag: tag))
        add(
          inputs, bytes, isSavable: tag != .mustRecompute, isRepeatable: op !== Op.random && tag != .mustSave)
      }
      forwardCount = ids.count
      let outputs = Int.random(in: 0...1, using: &random) == 0 ? [] : pick(&random)
      ids.append(joint.tangent())
      add([], 0, isSavable: false, isRepeatable: false)
      for index in 0..<Int.random(in: 1...4, using: &random) {
        let needed = [Int.random(in: forwardCount..<ids.count, using: &random)] + pick(&random)
        ids.append(joint.call(Op.pointwise, "g\(index)", needed.map { ids[$0] }, backward: true))
        add(needed, 0, isSavable: false, isRepeatable: true)
      }
      gradients = pick(&random, from: Int.random(in: 0..<ids.count, using: &random))
      joint.output(outputs.map { ids[$0] }, gradients: gradients.map { ids[$0] })
      graph = joint.graph
      forwardOutputCount = outputs.count
    }

    private mutating func add(_ inputs: [Int], _ bytes: Int, isSavable: Bool, isRepeatable: Bool) {
      self.inputs.append(inputs)
      cost.append(Int64(bytes))
      self.isSavable.append(isSavable)
      self.isRepeatable.append(isRepeatable)
    }

    /// Whether the gradients can be computed from the tangent and these saved values.
    func suffices(_ saved: Int) -> Bool {
      var pending = gradients
      var seen: Set<Int> = []
      while let value = pending.popLast() {
        if value == forwardCount || (value < forwardCount && saved >> value & 1 == 1) { continue }
        guard isRepeatable[value] || value > forwardCount else { return false }
        if seen.insert(value).inserted { pending += inputs[value] }
      }
      return true
    }

    /// The cost of the cheapest choice.
    var optimum: Int64 {
      var best = Int64.max
      for saved in 0..<(1 << forwardCount) where suffices(saved) {
        let chosen = (0..<forwardCount).filter { saved >> $0 & 1 == 1 }
        if chosen.allSatisfy({ isSavable[$0] }) { best = min(best, chosen.reduce(0) { $0 + cost[$1] }) }
      }
      return best
    }
  }

  func testNoChoiceIsCheaper() throws {
    var random = PartitionTestRandom(seed: 7)
    for round in 0..<1500 {
      let problem = Problem(&random)
      let result = try MinCutPartition(policy: .bare).partition(
        problem.graph, forwardOutputCount: problem.forwardOutputCount)
      let optimum = problem.optimum
      XCTAssertEqual(result.cut?.cutValue, optimum, "round \(round)")
      XCTAssertEqual(result.cut?.flowValue, optimum, "round \(round)")
      // What is saved costs that much, and suffices.
      XCTAssertEqual(result.savedTensors.reduce(0) { $0 + $1.byteCount }, Int(optimum), "round \(round)")
      let nodes = problem.graph.nodes.map { problem.graph[$0].name }
      let saved = result.savedNames.reduce(0) { $0 | 1 << (nodes.firstIndex(of: $1) ?? 0) }
      XCTAssertTrue(problem.suffices(saved), "round \(round)")
      try result.verify(against: problem.graph)
    }
  }

  func testOtherPoliciesAndTheDefaultGiveWholeHalves() throws {
    var random = PartitionTestRandom(seed: 8)
    for _ in 0..<500 {
      let problem = Problem(&random)
      let (graph, count) = (problem.graph, problem.forwardOutputCount)
      try DefaultPartition().partition(graph, forwardOutputCount: count).verify(against: graph)
      try MinCutPartition().partition(graph, forwardOutputCount: count).verify(against: graph)
      try MinCutPartition(policy: .aggressive).partition(graph, forwardOutputCount: count).verify(against: graph)
    }
  }

  func testVerificationSeesTampering() throws {
    var random = PartitionTestRandom(seed: 9)
    let problem = Problem(&random)
    let result = try MinCutPartition().partition(problem.graph, forwardOutputCount: problem.forwardOutputCount)
    var extra = result
    extra.forward.placeholder("stray")
    var short = result
    short.backward.setOutput(.tuple([]))
    var miscounted = result
    miscounted.forwardOutputCount += 1
    for tampered in [extra, short, miscounted] {
      XCTAssertThrowsError(try tampered.verify(against: problem.graph))
    }
  }

  /// A joint graph of `2 count` nodes: pointwise operators with a product now and then, and a use far back.
  private func deep(_ count: Int) -> Graph {
    var joint = JointGraphBuilder()
    var values = [joint.input("x", 1024)]
    let w = joint.parameter("w", 1024)
    var gradient = joint.tangent("g", 1024)
    for index in 0..<count {
      let last = values[values.count - 1]
      if index % 5 == 0 {
        values.append(joint.call(Op.matmul, "mm", [last, w], 1024))
      } else {
        values.append(joint.call(Op.pointwise, "p", [last, values[max(0, values.count - 5)]], 1024))
      }
    }
    for value in values.dropFirst().reversed() {
      gradient = joint.call(Op.pointwise, "g", [gradient, value], 1024, backward: true)
    }
    joint.output([values[values.count - 1]], gradients: [gradient])
    return joint.graph
  }

  func testHundredThousandNodes() throws {
    let graph = deep(50_000)
    let result = try MinCutPartition(policy: .aggressive).partition(graph, forwardOutputCount: 1)
    // The input and the product of every fifth node; the output is returned anyway.
    XCTAssertEqual(result.savedTensors.count, 10_002)
    XCTAssertEqual(result.cut, CutSummary(cutValue: 10_001 * 1024, flowValue: 10_001 * 1024))
    XCTAssertEqual(result.forward.nodeNames.count, 50_002)
    XCTAssertEqual(result.backward.nodeNames.count, 10_002 + 1 + 50_000 + result.recomputed.count)
  }
}
