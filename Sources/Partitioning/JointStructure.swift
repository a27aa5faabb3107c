import GraphIR
import TensorCore

/// What both partitioners have to know about a joint graph. Arrays are indexed by a node's position in execution order.
struct JointStructure {
  let graph: Graph
  /// In execution order, the output left out.
  let nodes: [NodeID]
  /// The positions of the distinct nodes that each uses.
  let inputs: [[Int]]
  /// What the joint graph returns: forward outputs, then gradients.
  let results: [GraphArgument]
  let forwardOutputCount: Int
  /// The position of each node, by its index.
  private let positions: [Int32]

  private(set) var isTangent: [Bool]
  /// Used, directly or not, by something the forward pass returns or by an effect of it.
  private(set) var isForward: [Bool]
  /// Depends on a tangent or on a random draw or effect of the backward pass: cannot happen before it.
  private(set) var isBackward: [Bool]
  /// Used, directly or not, by a gradient or by an effect of the backward pass.
  private(set) var isNeededByBackward: [Bool]
  /// Used by the backward pass itself, so that it must be at hand there; a gradient counts as used.
  private(set) var isReadByBackward: [Bool]
  /// Whose storage the value has: its own position, or that of what it is a view of.
  private(set) var root: [Int]
  /// What is to be done about each value, as far as its node says.
  let tags: [RecomputeTag?]
  /// The first node that writes to the storage of this root.
  private(set) var writer: [Int: Int] = [:]

  /// - Throws: `GraphError` where the graph is no joint graph: without a tuple as output, an input without a descriptor, a use
  ///   before the definition, a forward output that depends on a tangent.
  init(_ graph: Graph, forwardOutputCount: Int) throws(GraphError) {
    guard let output = graph.output, case .tuple(let results) = graph.result else {
      throw GraphError(.malformed, "a joint graph returns one tuple of forward outputs and gradients")
    }
    guard (0...results.count).contains(forwardOutputCount) else {
      throw GraphError(
        .invalidArgument, "a graph with \(results.count) results cannot have \(forwardOutputCount) forward outputs")
    }
    guard graph.outputDescriptors.isEmpty || graph.outputDescriptors.count == results.count else {
      throw GraphError(
        .malformed, "\(graph.outputDescriptors.count) output descriptors describe \(results.count) results",
        node: graph[output].name)
    }
    let nodes = graph.nodes.filter { $0 != output }
    var positions = [Int32](repeating: -1, count: graph.indexBound)
    var inputs: [[Int]] = []
    inputs.reserveCapacity(nodes.count)
    for (position, id) in nodes.enumerated() {
      let used = graph.inputs(of: id).map { Int(positions[Int($0.index)]) }
      if used.contains(-1) {
        throw GraphError(.malformed, "uses a value before it is computed", node: graph[id].name)
      }
      inputs.append(used)
      positions[Int(id.index)] = Int32(position)
    }
    self.graph = graph
    self.nodes = nodes
    self.inputs = inputs
    self.results = results
    self.forwardOutputCount = forwardOutputCount
    self.positions = positions
    self.tags = RecomputeTags(nodes.map { graph[$0] }, inputs: inputs).tags
    let none = [Bool](repeating: false, count: nodes.count)
    (isTangent, isForward, isBackward, isNeededByBackward, isReadByBackward) = (none, none, none, none, none)
    root = Array(nodes.indices)
    try findTangents()
    findStorages()
    try classify()
  }

  var forwardOutputs: ArraySlice<GraphArgument> { results[..<forwardOutputCount] }
  var gradients: ArraySlice<GraphArgument> { results[forwardOutputCount...] }

  subscript(position: Int) -> Node { _read { yield graph[nodes[position]] } }
  func position(_ id: NodeID) -> Int { Int(positions[Int(id.index)]) }
  func isPlaceholder(_ position: Int) -> Bool { graph[nodes[position]].isPlaceholder }
  func target(_ position: Int) -> (any Operator)? { graph[nodes[position]].target }
  func writes(_ position: Int) -> Bool { target(position)?.schema.isMutating == true }

  /// Whether computing the value a second time gives the same and does nothing else.
  func isRepeatable(_ position: Int) -> Bool {
    guard let target = target(position) else { return !isPlaceholder(position) }
    return target.isPure
  }

  func isView(_ position: Int) -> Bool { root[position] != position && target(position)?.isPure == true }

  func error(_ message: String, at position: Int) -> GraphError {
    let node = self[position]
    return GraphError(.malformed, message, node: node.name, source: node.metadata.source)
  }
}

// MARK: - Analysis

extension JointStructure {
  private mutating func findTangents() throws(GraphError) {
    for position in nodes.indices where isPlaceholder(position) {
      switch self[position].metadata.descriptor {
      case .tangent: isTangent[position] = true
      case nil: throw error("an input of a joint graph needs a descriptor: without one, is it a tangent?", at: position)
      default: break
      }
    }
  }

  private mutating func findStorages() {
    for position in nodes.indices {
      guard let target = target(position) else { continue }
      if target === GetItem.shared {
        // Parts of a list of views share what the list is a view of; other parts have storages of their own.
        if let sequence = inputs[position].first, root[sequence] != sequence { root[position] = root[sequence] }
        continue
      }
      let schema = target.schema
      guard schema.isMutating || schema.isView else { continue }
      let returned = Set(schema.returns.flatMap { $0.alias?.sets ?? [] })
      for (index, parameter) in schema.parameters.enumerated() {
        guard let alias = parameter.alias, let argument = self[position].argument(index, parameter.name)
        else { continue }
        for base in argument.references.map({ root[self.position($0)] }) {
          // What the backward pass writes itself, it writes when all else is done.
          if alias.isWrite, writer[base] == nil, !self[position].metadata.isBackward { writer[base] = position }
          if root[position] == position, !returned.isDisjoint(with: alias.sets) { root[position] = base }
        }
      }
    }
  }

  private mutating func classify() throws(GraphError) {
    for result in forwardOutputs { result.forEachReference { isForward[position($0)] = true } }
    Self.spread(&isForward, to: inputs)
    for position in nodes.indices {
      let mustWait = self[position].metadata.isBackward && !isForward[position] && target(position) != nil
      isBackward[position] =
        isTangent[position] || inputs[position].contains { isBackward[$0] } || (mustWait && !isRepeatable(position))
    }
    for id in forwardOutputs.flatMap(\.references) where isBackward[position(id)] {
      throw error("is a forward output and depends on a tangent", at: position(id))
    }
    for position in nodes.indices where !isBackward[position] && (hasEffect(position) || self[position].checksElements)
    {
      isForward[position] = true
    }
    Self.spread(&isForward, to: inputs)

    for position in nodes.indices where hasEffect(position) && isBackward[position] {
      isNeededByBackward[position] = true
    }
    for result in gradients { result.forEachReference { isNeededByBackward[position($0)] = true } }
    Self.spread(&isNeededByBackward, to: inputs)
    for position in nodes.indices where isBackward[position] && isNeededByBackward[position] {
      for input in inputs[position] { isReadByBackward[input] = true }
    }
    for result in gradients { result.forEachReference { isReadByBackward[position($0)] = true } }
  }

  /// Sets the flag of everything that something flagged uses, directly or not.
  static func spread(_ flags: inout [Bool], to inputs: [[Int]]) {
    for position in flags.indices.reversed() where flags[position] {
      for input in inputs[position] { flags[input] = true }
    }
  }

  private func hasEffect(_ position: Int) -> Bool { target(position)?.hasEffect == true }
}

extension Node {
  /// The argument for a parameter, wherever the call writes it; nil where it is left to its default.
  func argument(_ index: Int, _ name: String) -> GraphArgument? {
    if arguments.indices.contains(index) { return arguments[index] }
    return keywordArguments.first { $0.name == name }?.value
  }
}

extension Operator {
  /// Whether a call writes, or does something besides computing; a random draw alone is no effect.
  var hasEffect: Bool { schema.isMutating || traits.contains(.effectful) }
}
