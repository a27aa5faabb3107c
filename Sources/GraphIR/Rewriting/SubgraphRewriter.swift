import TensorCore

/// Replaces every occurrence of a pattern in a graph.
public struct SubgraphRewriter: Sendable {
  /// Adds what replaces a match at the graph's insertion point.
  ///
  /// - Returns: What stands for each output of the pattern; nil to leave this match as it is, with nothing added.
  public typealias Replacement = @Sendable (inout Graph, PatternMatch) throws -> [GraphArgument]?

  private let matcher: PatternMatcher
  private let replacement: Replacement

  /// - Throws: `GraphError` for a pattern that `PatternMatcher` refuses.
  public init(pattern: Graph, replacement: @escaping Replacement) throws(GraphError) {
    matcher = try PatternMatcher(pattern)
    self.replacement = replacement
  }

  /// - Parameter replacement: A graph with the inputs of the pattern, in the same order, that returns as much.
  /// - Throws: `GraphError` for a malformed pattern or replacement, or where they differ in inputs or outputs.
  public init(pattern: Graph, replacement: Graph) throws(GraphError) {
    try replacement.validate()
    let (inputs, needed) = (replacement.placeholders.count, pattern.placeholders.count)
    let (outputs, wanted) = (Self.outputs(of: replacement).count, Self.outputs(of: pattern).count)
    guard inputs == needed, outputs == wanted else {
      throw GraphError(
        .invalidArgument,
        "the replacement has \(inputs) inputs and \(outputs) outputs, the pattern \(needed) and \(wanted)")
    }
    try self.init(pattern: pattern) { graph, match in
      let result = try graph.inline(replacement, arguments: match.captures)
      return outputs == 1 && Self.returnsBare(replacement) ? [result] : result.elements
    }
  }

  private static func returnsBare(_ graph: Graph) -> Bool { graph.result.elements == nil }

  private static func outputs(of graph: Graph) -> [GraphArgument] { graph.result.elements ?? [graph.result] }

  /// Rewrites a graph.
  ///
  /// A match is left alone where its outputs are used before all it captures is defined, or where a call that writes to memory or has
  /// effects stands between its nodes.
  ///
  /// - Returns: The matches that were replaced.
  /// - Throws: What the replacement throws; the graph is unchanged then.
  @discardableResult
  public func rewrite(_ graph: inout Graph) throws -> [PatternMatch] {
    var edited = graph
    let places = Places(graph)
    var replaced: [PatternMatch] = []
    var substitutes = NodeMap<GraphArgument>(for: graph)
    /// What stands for a node by now: what it was replaced by, which may have been replaced in turn.
    func current(_ id: NodeID) -> GraphArgument { substitutes[id]?.map(current) ?? .reference(id) }
    for match in matcher.matches(in: graph) where match.matched.allSatisfy(edited.contains) {
      guard let point = places.insertionPoint(for: match, in: edited) else { continue }
      var renewed = match
      renewed.captures = match.captures.map { $0.map(current) }
      let bound = edited.indexBound
      guard let results = try edited.inserting(point, { try replacement(&$0, renewed) }) else { continue }
      guard results.count == match.outputs.count else {
        throw GraphError(
          .invalidArgument,
          "a replacement gave \(results.count) values for \(match.outputs.count) outputs of the pattern")
      }
      for (output, result) in zip(match.outputs, results) where result != .reference(output) {
        guard result.references.allSatisfy({ !match.matched.contains($0) }) else {
          throw GraphError(.invalidArgument, "a replacement gives a node that it replaces", node: edited[output].name)
        }
        if let elements = result.elements {
          for user in edited.users(of: output) {
            guard let index = edited.getItemIndex(of: user), elements.indices.contains(index) else { continue }
            substitutes[user] = elements[index]
          }
        }
        // A replacement may go on using what it wraps.
        edited.replaceAllUses(of: output, with: result) { Int($0.index) < bound }
        substitutes[output] = result
      }
      for id in match.matched.reversed() where edited.contains(id) && !edited.hasUsers(id) { try edited.erase(id) }
      replaced.append(match)
    }
    graph = edited
    return replaced
  }
}

/// Where in the original graph everything stands, to find a place for a replacement.
private struct Places {
  private var position: NodeMap<Int>
  /// How many calls with effects or writes stand before each place.
  private var impureBefore: [Int] = [0]
  private let graph: Graph

  init(_ graph: Graph) {
    self.graph = graph
    position = NodeMap(for: graph)
    for (index, id) in graph.nodes.enumerated() {
      position[id] = index
      let isImpure = graph[id].target.map { $0.schema.isMutating || $0.traits.contains(.effectful) } ?? false
      impureBefore.append((impureBefore.last ?? 0) + (isImpure ? 1 : 0))
    }
  }

  /// After the last matched node; before the first use of an output from outside where that comes sooner.
  func insertionPoint(for match: PatternMatch, in edited: Graph) -> Graph.InsertionPoint? {
    let places = match.matched.compactMap { position[$0] }
    guard let first = places.min(), let last = places.max(),
      let lastNode = match.matched.first(where: { position[$0] == last })
    else { return nil }
    let impureMatched = match.matched.count { id in
      graph[id].target.map { $0.schema.isMutating || $0.traits.contains(.effectful) } ?? false
    }
    guard impureBefore[last + 1] - impureBefore[first] == impureMatched else { return nil }
    let matched = Set(match.matched)
    let users = match.outputs.flatMap { graph.users(of: $0) }.filter { !matched.contains($0) }
    guard let firstUser = users.min(by: { (position[$0] ?? 0) < (position[$1] ?? 0) }), let use = position[firstUser],
      use < last
    else { return .after(lastNode) }
    // Nodes of other replacements have no place in the original order; a user that was replaced has none any more.
    let captured = match.captures.flatMap(\.references)
    guard edited.contains(firstUser), captured.allSatisfy({ edited.contains($0) && (position[$0] ?? .max) < use })
    else {
      return nil
    }
    return .before(firstUser)
  }
}
