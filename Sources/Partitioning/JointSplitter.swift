import AOTArtifacts
import GraphIR
import TensorCore

/// Writes the two halves of a joint graph, once it is decided what to save.
struct JointSplitter {
  private let joint: JointStructure
  /// Ascending.
  private let saved: [Int]
  /// The roots of what the forward graph returns.
  private let returnedStorages: Set<Int>

  init(_ joint: JointStructure, saved: [Int]) {
    self.joint = joint
    self.saved = saved
    returnedStorages = Set(joint.forwardOutputs.flatMap(\.references).map { joint.root[joint.position($0)] })
  }

  /// - Throws: `GraphError` where what is saved does not suffice for the backward pass.
  func split(reason: (Int) -> SaveReason) throws(GraphError) -> Partition {
    let runsForward = forwardNodes()
    var tensors: [Int] = []
    var numbers: [Int] = []
    for position in saved {
      if try joint.savableKind(position) == .number { numbers.append(position) } else { tensors.append(position) }
    }
    let forward = forwardGraph(runsForward, saved: tensors + numbers)
    var backward = BackwardWriter(joint, saved: tensors + numbers)
    try backward.write()

    let outputs = outputPositions()
    var savedTensors: [SavedValue] = []
    for position in tensors { savedTensors.append(try describe(position, outputs, reason(position))) }
    var savedNumbers: [SavedValue] = []
    for position in numbers { savedNumbers.append(try describe(position, outputs, reason(position))) }
    var recomputed: [RecomputedValue] = []
    for position in backward.written where runsForward[position] { recomputed.append(try describe(position)) }
    let result = Partition(
      forward: forward, backward: backward.graph, forwardOutputCount: joint.forwardOutputCount,
      savedTensors: savedTensors, savedNumbers: savedNumbers, recomputed: recomputed)
    #if DEBUG
      try result.verify(against: joint.graph)
    #endif
    return result
  }

  /// What the forward graph computes: what it returns, what is saved, and its effects.
  private func forwardNodes() -> [Bool] {
    var runsForward = joint.isForward
    for position in saved { runsForward[position] = true }
    JointStructure.spread(&runsForward, to: joint.inputs)
    return runsForward
  }

  private func forwardGraph(_ runsForward: [Bool], saved: [Int]) -> Graph {
    var copy = GraphCopy(joint)
    let computed = joint.nodes.indices.filter {
      !joint.isTangent[$0] && (runsForward[$0] || joint.isPlaceholder($0))
    }
    // What is saved of the backward pass was recorded after the writes to inputs, which are to come last.
    for position in computed where !joint.writes(position) { copy.add(position) }
    for position in computed where joint.writes(position) { copy.add(position) }
    copy.graph.output(
      .tuple(joint.forwardOutputs.map(copy.argument) + saved.map { copy.argument(.reference(joint.nodes[$0])) }),
      descriptors: copy.descriptors(joint.graph.outputDescriptors.prefix(joint.forwardOutputCount), saved: saved.count))
    return copy.graph
  }

  /// Where the forward graph returns each value, by position.
  private func outputPositions() -> [Int: Int] {
    var positions: [Int: Int] = [:]
    for (index, result) in joint.forwardOutputs.enumerated() {
      if let id = result.reference, positions[joint.position(id)] == nil { positions[joint.position(id)] = index }
    }
    return positions
  }

  private func describe(_ position: Int, _ outputs: [Int: Int], _ reason: SaveReason) throws(GraphError) -> SavedValue {
    let node = joint[position]
    let origin: SavedValue.Origin =
      if joint.isPlaceholder(position) { .input } else if joint.isPlaceholder(joint.root[position]) {
        .viewOfInput
      } else { outputs[position].map(SavedValue.Origin.output) ?? .computed }
    return SavedValue(
      name: node.name, value: try joint.value(position), byteCount: try joint.pinnedByteCount(position),
      storage: joint[joint.root[position]].name, isReturned: returnedStorages.contains(joint.root[position]),
      origin: origin, reason: reason, operatorName: node.target?.name, source: node.metadata.source)
  }

  private func describe(_ position: Int) throws(GraphError) -> RecomputedValue {
    let node = joint[position]
    let isView = joint.isView(position)
    let reason: RecomputeReason =
      if isView { .view } else if let tag = joint.tags[position] { .tag(tag) } else if joint.inputs[position].isEmpty {
        .constant
      } else { .cheaper }
    return RecomputedValue(
      name: node.name, value: node.metadata.value,
      byteCount: isView
        ? 0
        : try node.metadata.value.map { value throws(GraphError) in
          try joint.byteCount(of: value, at: position)
        } ?? 0,
      reason: reason, operatorName: node.target?.name, source: node.metadata.source)
  }
}

/// A graph made of copies of a joint graph's nodes, with their names and metadata.
private struct GraphCopy {
  private let joint: JointStructure
  var graph = Graph()
  /// The copy of each node, by position.
  private var copies: [NodeID?]

  init(_ joint: JointStructure) {
    self.joint = joint
    copies = [NodeID?](repeating: nil, count: joint.nodes.count)
  }

  func contains(_ position: Int) -> Bool { copies[position] != nil }

  /// The argument in terms of the copies. All that it refers to has been added.
  func argument(_ argument: GraphArgument) -> GraphArgument {
    argument.map { (id: NodeID) -> GraphArgument in copies[joint.position(id)].map(GraphArgument.reference) ?? .none }
  }

  mutating func add(_ position: Int) {
    let node = joint[position]
    switch node.kind {
    case .placeholder, .output: addInput(position, node.metadata.descriptor)
    case .getAttribute(let path): copies[position] = graph.getAttribute(path, name: node.name, metadata: node.metadata)
    case .callFunction(let target):
      copies[position] = graph.call(
        target, node.arguments.map(argument),
        node.keywordArguments.map { KeywordArgument($0.name, argument($0.value)) }, name: node.name,
        metadata: node.metadata)
    }
  }

  mutating func addInput(_ position: Int, _ descriptor: Descriptor?) {
    var metadata = joint[position].metadata
    metadata.descriptor = descriptor
    copies[position] = graph.placeholder(joint[position].name, metadata: metadata)
  }

  func descriptors(_ outputs: some Collection<Descriptor>, saved: Int) -> [Descriptor] {
    joint.graph.outputDescriptors.isEmpty ? [] : outputs + (0..<saved).map(Descriptor.saved)
  }
}

/// Writes the backward graph: what depends on tangents in the order of the joint graph, and before each node what it needs
/// and nothing has computed yet. So recomputed values live as briefly as that order allows.
private struct BackwardWriter {
  private let joint: JointStructure
  private let saved: [Int]
  private var copy: GraphCopy
  /// The nodes computed so far, in order.
  private(set) var written: [Int] = []

  init(_ joint: JointStructure, saved: [Int]) {
    self.joint = joint
    self.saved = saved
    copy = GraphCopy(joint)
  }

  var graph: Graph { copy.graph }

  mutating func write() throws(GraphError) {
    for (index, position) in saved.enumerated() { copy.addInput(position, .saved(index)) }
    for position in joint.nodes.indices where joint.isTangent[position] { copy.add(position) }
    for position in joint.nodes.indices
    where joint.isBackward[position] && joint.isNeededByBackward[position] && !joint.isTangent[position] {
      try writeNeeds(of: joint.inputs[position])
      copy.add(position)
      written.append(position)
    }
    for result in joint.gradients { try writeNeeds(of: result.references.map(joint.position)) }
    copy.graph.output(
      .tuple(joint.gradients.map(copy.argument)),
      descriptors: copy.descriptors(joint.graph.outputDescriptors.dropFirst(joint.forwardOutputCount), saved: 0))
  }

  /// Computes values that are missing, and what they need, in the order of the joint graph.
  private mutating func writeNeeds(of values: [Int]) throws(GraphError) {
    var pending = values.filter { !copy.contains($0) }
    guard !pending.isEmpty else { return }
    var missing: Set<Int> = []
    while let position = pending.popLast() {
      guard missing.insert(position).inserted else { continue }
      if let obstacle = joint.obstacleToRecomputing(position) {
        throw joint.error("the backward graph would have to recompute this, but \(obstacle)", at: position)
      }
      pending.append(contentsOf: joint.inputs[position].filter { !copy.contains($0) })
    }
    for position in missing.sorted() {
      copy.add(position)
      written.append(position)
    }
  }
}
