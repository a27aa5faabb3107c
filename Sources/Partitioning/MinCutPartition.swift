import AOTArtifacts
import GraphIR
import TensorCore

/// Splits a joint graph so that the fewest bytes are saved, recomputing in the backward pass what that takes.
///
/// Every value is an edge whose capacity is what saving it costs, and values flow into their users for free. What the backward
/// pass reads is the sink; what it cannot recompute is the source: inputs, random draws, effects, and what the policy or a tag
/// forbids to recompute. A cheapest cut then is a cheapest set of values to save. The idea is that of PyTorch's
/// `min_cut_rematerialization_partition` (H. He, "Min-cut optimal recomputation with AOTAutograd", 2022); unlike there, costs
/// are exact bytes, a view costs what it keeps alive, and the optimum is proven by a flow.
///
/// Among cuts of equal cost the one that recomputes least is taken. The same graph gives the same partition.
public struct MinCutPartition: Partitioner {
  public var policy: RecomputePolicy

  public let name = "min-cut"

  public init(policy: RecomputePolicy = .standard) { self.policy = policy }

  public func partition(_ joint: JointGraph) throws -> Partition {
    try partition(joint.module.graph, forwardOutputCount: joint.forwardOutputCount)
  }

  /// - Parameters:
  ///   - joint: A graph whose inputs have descriptors, those of tangents `.tangent(of:)`, and which returns one tuple of the
  ///     forward outputs and then the gradients. Every node that the backward pass needs has metadata.
  ///   - forwardOutputCount: The number of forward outputs.
  /// - Throws: `GraphError` where the graph is no joint graph, or where the backward pass needs a value that can be neither
  ///   saved nor recomputed, naming it with both reasons.
  public func partition(_ joint: Graph, forwardOutputCount: Int) throws(GraphError) -> Partition {
    try partition(JointStructure(joint, forwardOutputCount: forwardOutputCount))
  }

  func partition(_ joint: JointStructure) throws(GraphError) -> Partition {
    let model = try SavingModel(joint, policy)
    let cut = try model.solve()
    let saved = joint.nodes.indices.filter { model.isSaved($0, by: cut) }
    var result = try JointSplitter(joint, saved: saved).split { model.reason($0) }
    result.cut = model.summary(of: cut)
    return result
  }
}

/// The flow network of a joint graph.
private struct SavingModel {
  private let joint: JointStructure
  private let costs: SavingCosts
  private let bans: RecomputeBans
  private var network = FlowNetwork(vertexCount: 2)
  /// The vertices where a value arises and where it is used; one vertex where it cannot be saved. By position; -1 for what
  /// has no part in the problem.
  private var entry: [Int]
  private var exit: [Int]

  private static let source = 0
  private static let sink = 1

  init(_ joint: JointStructure, _ policy: RecomputePolicy) throws(GraphError) {
    self.joint = joint
    costs = try SavingCosts(joint, policy)
    bans = try RecomputeBans(joint, policy)
    entry = [Int](repeating: -1, count: joint.nodes.count)
    exit = entry
    for position in joint.nodes.indices where !joint.isBackward[position] && joint.isNeededByBackward[position] {
      entry[position] = network.addVertex()
      if let cost = try costs.cost(position) {
        exit[position] = network.addVertex()
        network.addEdge(from: entry[position], to: exit[position], capacity: cost)
      } else {
        exit[position] = entry[position]
      }
      if bans.reasons[position] == nil {
        for input in joint.inputs[position] {
          network.addEdge(from: exit[input], to: entry[position], capacity: FlowNetwork.infinity)
        }
      } else {
        network.addEdge(from: Self.source, to: entry[position], capacity: FlowNetwork.infinity)
      }
      if joint.isReadByBackward[position] {
        network.addEdge(from: exit[position], to: Self.sink, capacity: FlowNetwork.infinity)
      }
    }
  }

  func solve() throws(GraphError) -> MinimumCut {
    do throws(FlowError) {
      let cut = try network.minimumCut(from: Self.source, to: Self.sink)
      #if DEBUG
        try cut.verify(in: network, from: Self.source, to: Self.sink)
      #endif
      guard cut.cutValue == cut.flowValue else {
        throw FlowError.invalidCertificate("the cut costs \(cut.cutValue), the flow is \(cut.flowValue)")
      }
      return cut
    } catch .uncuttablePath(let edges) {
      throw try conflict(along: edges)
    } catch {
      throw GraphError(.malformed, "no cheapest set of values to save: \(error)")
    }
  }

  /// Both values in bytes.
  func summary(of cut: MinimumCut) -> CutSummary {
    CutSummary(cutValue: costs.bytes(cut.cutValue), flowValue: costs.bytes(cut.flowValue))
  }

  func isSaved(_ position: Int, by cut: MinimumCut) -> Bool {
    entry[position] >= 0 && cut.isOnSourceSide[entry[position]] && !cut.isOnSourceSide[exit[position]]
  }

  func reason(_ position: Int) -> SaveReason {
    if let reason = bans.reasons[position] { return reason }
    if joint.target(position) === GetItem.shared, let sequence = joint.inputs[position].first,
      let reason = bans.reasons[sequence]
    {
      return reason
    }
    return costs.isReturned(position) ? .output : .cheapest
  }

  /// The error for a path on which nothing can be saved, from a value that cannot be recomputed to one the backward pass reads.
  private func conflict(along edges: [Int]) throws(GraphError) -> GraphError {
    guard let first = edges.first, let position = entry.firstIndex(of: network.edges[first].to) else {
      return GraphError(.malformed, "the backward pass needs a value that can be neither saved nor recomputed")
    }
    let tag = joint.tags[position]
    let recomputing = joint.obstacleToRecomputing(position) ?? "\(bans.reasons[position] ?? .used)"
    let saving = try joint.obstacleToSaving(position) ?? "it is tagged \((tag ?? .mustRecompute).rawValue)"
    var error = joint.error(
      "the backward pass needs this value, which cannot be saved (\(saving)) nor recomputed (\(recomputing))",
      at: position)
    error.code = .invalidArgument
    return error
  }
}

/// What saving each value costs.
private struct SavingCosts {
  private let joint: JointStructure
  /// Storages that live on whether anything in them is saved or not, by position of the root.
  private var isFree: [Bool]
  private var isOutput: [Bool]
  /// What a byte costs: so much that inputs can cost one less each, to be saved rather than others of as many bytes.
  private let byteCost: Int64

  init(_ joint: JointStructure, _ policy: RecomputePolicy) throws(GraphError) {
    self.joint = joint
    byteCost = Int64(joint.nodes.indices.count { joint.isPlaceholder($0) }) + 1
    isFree = [Bool](repeating: false, count: joint.nodes.count)
    isOutput = isFree
    for position in joint.nodes.indices where joint.isPlaceholder(position) {
      switch joint[position].metadata.descriptor {
      case .closedOver: isFree[position] = policy.closedOverIsFree
      default: isFree[position] = policy.inputsAreFree
      }
    }
    guard policy.outputsAreFree else { return }
    for (index, result) in joint.forwardOutputs.enumerated() {
      // The new value of a mutated input is copied into the input and then dropped.
      if joint.graph.outputDescriptors.indices.contains(index), case .mutated = joint.graph.outputDescriptors[index] {
        continue
      }
      result.forEachReference { id in
        isFree[joint.root[joint.position(id)]] = true
        isOutput[joint.root[joint.position(id)]] = true
      }
    }
  }

  func isReturned(_ position: Int) -> Bool { isOutput[joint.root[position]] }

  func bytes(_ cost: Int64) -> Int64 { (cost + byteCost - 1) / byteCost }

  /// The cost of saving a value, 0 for what is free; nil for one that is not to be saved.
  func cost(_ position: Int) throws(GraphError) -> Int64? {
    guard try isSavable(position) else { return nil }
    // What a view is a view of costs the same and serves all its views, so it is saved in their place.
    let isWanted = joint.tags[position] == .mustSave || joint.tags[position] == .preferSave
    if joint.isView(position), !isWanted, try isSavable(joint.root[position]) { return nil }
    let bytes = Int64(try joint.pinnedByteCount(position))
    if isFree[joint.root[position]] || bytes == 0 { return 0 }
    return bytes * byteCost - (joint.isPlaceholder(joint.root[position]) ? 1 : 0)
  }

  private func isSavable(_ position: Int) throws(GraphError) -> Bool {
    try joint.obstacleToSaving(position) == nil && joint.tags[position] != .mustRecompute
  }
}
