import TensorCore

/// A place in a graph where a pattern occurs.
public struct PatternMatch: Sendable {
  /// What stands for each input of the pattern, in order.
  public internal(set) var captures: [GraphArgument]
  /// The graph's node for each call of the pattern.
  public internal(set) var nodes: NodeMap<NodeID>
  /// The graph's nodes that the pattern's outputs stand for, in order.
  public internal(set) var outputs: [NodeID]
  /// All matched nodes, in the order of the pattern.
  public internal(set) var matched: [NodeID]
}

/// Finds where a small graph occurs in a large one.
///
/// A pattern is a graph: its inputs stand for anything (the same thing wherever one input is used), its calls for calls of the same
/// operator with the same arguments, whether written by position, by name or left to a default. What it returns is what a match
/// gives to the rest of the graph; a call that it does not return matches only a node that nothing else uses.
public struct PatternMatcher: Sendable {
  public let pattern: Graph
  private let outputs: [NodeID]
  private let calls: [NodeID]
  private let placeholders: [NodeID]
  /// The pattern's calls with arguments bound to their schemas.
  private let bound: NodeMap<[GraphArgument]>

  /// - Throws: `GraphError` where the pattern is malformed, calls nothing, or returns something other than calls.
  public init(_ pattern: Graph) throws(GraphError) {
    try pattern.validate()
    self.pattern = pattern
    let result = pattern.result
    let returned = result.elements ?? [result]
    outputs = returned.compactMap(\.reference)
    calls = pattern.nodes.filter { !pattern[$0].isPlaceholder && !pattern[$0].isOutput }
    placeholders = pattern.placeholders
    guard !outputs.isEmpty, outputs.count == returned.count, outputs.allSatisfy({ !pattern[$0].isPlaceholder }) else {
      throw GraphError(.invalidArgument, "a pattern returns calls: one, or a tuple of them")
    }
    var bound = NodeMap<[GraphArgument]>(for: pattern)
    for id in calls { bound[id] = try pattern[id].boundArguments() }
    self.bound = bound
    try requireConnected()
  }

  /// A call that no output depends on could stand anywhere.
  private func requireConnected() throws(GraphError) {
    var isReached = NodeMap<Bool>(for: pattern)
    var pending = outputs
    while let id = pending.popLast() {
      if isReached[id] != nil { continue }
      isReached[id] = true
      pending += pattern.inputs(of: id)
    }
    if let stray = (calls + placeholders).first(where: { isReached[$0] == nil }) {
      throw GraphError(.invalidArgument, "no output of the pattern depends on it", node: pattern[stray].name)
    }
  }

  /// Every place where the pattern occurs, in order of the first output; no node belongs to two of them.
  public func matches(in graph: Graph) -> [PatternMatch] {
    var isTaken = NodeMap<Bool>(for: graph)
    var matches: [PatternMatch] = []
    for id in graph.nodes {
      guard let match = match(at: id, in: graph, excluding: isTaken) else { continue }
      for node in match.matched { isTaken[node] = true }
      matches.append(match)
    }
    return matches
  }

  /// The match whose first output is this node, if there is one.
  public func match(at id: NodeID, in graph: Graph) -> PatternMatch? {
    match(at: id, in: graph, excluding: NodeMap(for: graph))
  }

  private func match(at id: NodeID, in graph: Graph, excluding isTaken: NodeMap<Bool>) -> PatternMatch? {
    var attempt = Attempt(matcher: self, graph: graph, isTaken: isTaken)
    guard attempt.matchNode(outputs[0], id), let complete = attempt.completed(outputs.dropFirst()) else { return nil }
    return complete.isClosed() ? complete.result() : nil
  }
}

// MARK: - One attempt

extension PatternMatcher {
  /// A partial match: a value, so that a failed way is left by forgetting it.
  private struct Attempt {
    let matcher: PatternMatcher
    let graph: Graph
    let isTaken: NodeMap<Bool>
    /// What stands for each of the pattern's nodes so far.
    var assigned: [NodeID: GraphArgument] = [:]
    var used: Set<NodeID> = []

    init(matcher: PatternMatcher, graph: Graph, isTaken: NodeMap<Bool>) {
      self.matcher = matcher
      self.graph = graph
      self.isTaken = isTaken
    }

    /// Matches a call or attribute of the pattern, and all that it depends on. Patterns are small and written by hand, so their
    /// depth bounds the recursion.
    mutating func matchNode(_ expected: NodeID, _ id: NodeID) -> Bool {
      if let known = assigned[expected] { return known == .reference(id) }
      guard isTaken[id] == nil, !used.contains(id), graph.contains(id) else { return false }
      switch (matcher.pattern[expected].kind, graph[id].kind) {
      case (.getAttribute(let a), .getAttribute(let b)):
        // Reads of attributes are shared freely: a match does not own them.
        if a == b { assigned[expected] = .reference(id) }
        return a == b
      case (.callFunction(let a), .callFunction(let b)):
        guard a === b, let arguments = try? graph[id].boundArguments(),
          matchAll(matcher.bound[expected] ?? [], arguments)
        else { return false }
      default: return false
      }
      assigned[expected] = .reference(id)
      return used.insert(id).inserted
    }

    private mutating func matchAll(_ expected: [GraphArgument], _ arguments: [GraphArgument]) -> Bool {
      guard expected.count == arguments.count else { return false }
      for (a, b) in zip(expected, arguments) where !matchArgument(a, b) { return false }
      return true
    }

    private mutating func matchArgument(_ expected: GraphArgument, _ argument: GraphArgument) -> Bool {
      switch (expected, argument) {
      case (.reference(let id), _) where matcher.pattern[id].isPlaceholder:
        if let known = assigned[id] { return known == argument }
        assigned[id] = argument
        return true
      case (.reference(let expected), .reference(let id)): return matchNode(expected, id)
      case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)): return matchAll(a, b)
      case (.dictionary(let a), .dictionary(let b)):
        return a.map(\.key) == b.map(\.key) && matchAll(a.map(\.value), b.map(\.value))
      default: return expected == argument
      }
    }

    /// Matches the outputs that the first one does not depend on, looking among the users of what is matched already.
    func completed(_ outputs: ArraySlice<NodeID>) -> Attempt? {
      guard let output = outputs.first else { return self }
      if assigned[output] != nil { return completed(outputs.dropFirst()) }
      for candidate in candidates(for: output) {
        var attempt = self
        if attempt.matchNode(output, candidate), let complete = attempt.completed(outputs.dropFirst()) {
          return complete
        }
      }
      return nil
    }

    /// Nodes that could stand for an output: those that the graph reaches from a matched node by the calls that lead to it in the
    /// pattern; any call of its operator where it shares nothing with the other outputs.
    private func candidates(for output: NodeID) -> [NodeID] {
      guard let path = pathFromAssigned(to: output), let start = assigned[path[0]]?.reference else {
        return graph.nodes.filter { id in isSameKind(output, id) }
      }
      var frontier = [start]
      for step in path.dropFirst() {
        var seen: Set<NodeID> = []
        frontier = frontier.flatMap { graph.users(of: $0) }.filter { isSameKind(step, $0) && seen.insert($0).inserted }
      }
      return frontier
    }

    private func isSameKind(_ expected: NodeID, _ id: NodeID) -> Bool {
      guard let target = matcher.pattern[expected].target else { return graph[id].target == nil }
      return graph[id].calls(target)
    }

    /// A way through the pattern from a node that is matched to this one, both included.
    private func pathFromAssigned(to output: NodeID) -> [NodeID]? {
      var pending = [[output]]
      while let path = pending.popLast() {
        for input in matcher.pattern.inputs(of: path[0]) {
          if assigned[input]?.reference != nil { return [input] + path }
          pending.append([input] + path)
        }
      }
      return nil
    }

    /// Whether nothing outside the match uses what the pattern does not return.
    func isClosed() -> Bool {
      let returned = Set(matcher.outputs.compactMap { assigned[$0]?.reference })
      for id in matcher.calls where matcher.pattern[id].target != nil {
        guard let node = assigned[id]?.reference else { return false }
        if !returned.contains(node), graph.users(of: node).contains(where: { !used.contains($0) }) { return false }
      }
      // A capture that the match itself computes would have to outlive it.
      return matcher.placeholders.allSatisfy { id in
        (assigned[id]?.references ?? []).allSatisfy { !used.contains($0) }
      }
    }

    func result() -> PatternMatch {
      var nodes = NodeMap<NodeID>(for: matcher.pattern)
      for id in matcher.calls { nodes[id] = assigned[id]?.reference }
      return PatternMatch(
        captures: matcher.placeholders.map { assigned[$0] ?? .none }, nodes: nodes,
        outputs: matcher.outputs.compactMap { nodes[$0] },
        matched: matcher.calls.compactMap { nodes[$0] }.filter(used.contains))
    }
  }
}
