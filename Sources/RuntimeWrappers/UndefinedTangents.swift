import GraphIR
import Operators
import TensorCore

extension GraphModule {
  /// A backward graph for calls in which no gradient arrives at some results: as eager autograd has it, what no gradient arrives
  /// at is not computed. It is not the same as a gradient of zeros, which infinity and NaN turn into NaN.
  ///
  /// - Parameter undefined: Which of the tangents, in order, do not arrive; the graph does not take them.
  func withoutTangents(_ undefined: Set<Int>) throws -> GraphModule {
    var pass = UndefinedTangents(graph)
    try pass.run(undefined)
    var module = self
    module.graph = pass.graph
    return module
  }
}

/// Follows gradients that do not arrive through a backward graph: every value in it is linear in the tangents that it depends
/// on, so it is undefined where all of them are.
private struct UndefinedTangents {
  private(set) var graph: Graph
  private var dependent: Set<NodeID> = []
  private var undefined: Set<NodeID> = []

  init(_ graph: Graph) { self.graph = graph }

  mutating func run(_ indices: Set<Int>) throws {
    let tangents = graph.placeholders.filter { id in
      if case .tangent = graph[id].metadata.descriptor { true } else { false }
    }
    dependent = Set(tangents)
    let missing = indices.map { tangents[$0] }
    undefined = Set(missing)
    for id in graph.nodes {
      switch graph[id].kind {
      case .callFunction(let target): follow(id, target)
      case .output: finish(id)
      case .placeholder, .getAttribute: break
      }
    }
    _ = try DeadCodeElimination().run(on: &graph)
    for id in missing where !graph.hasUsers(id) { try graph.erase(id) }
  }

  private mutating func follow(_ id: NodeID, _ target: any Operator) {
    let operands = graph.inputs(of: id).filter(dependent.contains)
    if operands.isEmpty { return }
    dependent.insert(id)
    let missing = operands.filter(undefined.contains)
    if missing.isEmpty { return }
    if missing.count == operands.count, !target.traits.contains(.effectful) {
      undefined.insert(id)
    } else if let only = onlySummand(of: id, target) {
      graph.replaceAllUses(of: id, with: only)
    } else {
      replaceByZeros(Set(missing), in: id)
    }
  }

  /// The other operand of a sum with a gradient that does not arrive, where it has the sum's form: views of the sum rely on its
  /// layout.
  private func onlySummand(of id: NodeID, _ target: any Operator) -> NodeID? {
    guard target === OperatorLibrary.add, let arguments = try? graph[id].boundArguments(),
      let left = arguments[0].reference, let right = arguments[1].reference, left != right,
      let sum = graph[metadata: id].tensor
    else { return nil }
    let other = undefined.contains(left) ? right : left
    guard let meta = graph[metadata: other].tensor, meta.layout == sum.layout, meta.dtype == sum.dtype,
      arguments[2].scalar == 1 || other == left
    else { return nil }
    return other
  }

  /// Has a node that joins gradients take zeros where none arrives.
  private mutating func replaceByZeros(_ missing: Set<NodeID>, in id: NodeID) {
    var zeros: [NodeID: NodeID] = [:]
    for source in missing {
      guard var meta = graph[metadata: source].tensor else { continue }
      meta.layout = Layout(contiguous: meta.sizes)
      zeros[source] = graph.inserting(.before(id)) {
        $0.call(
          OperatorLibrary.zeros, [.list(meta.sizes.map { .int($0) })], [KeywordArgument("dtype", .dtype(meta.dtype))],
          metadata: NodeMetadata(value: .reference(meta), isBackward: true))
      }
    }
    let node = graph[id]
    graph.setArguments(
      of: id, node.arguments.map { $0.map { .reference(zeros[$0] ?? $0) } },
      node.keywordArguments.map { KeywordArgument($0.name, $0.value.map { .reference(zeros[$0] ?? $0) }) })
  }

  /// Has the graph give no gradient where none arrives.
  private mutating func finish(_ output: NodeID) {
    let results = graph.result.elements ?? []
    graph.setArguments(
      of: output, [.tuple(results.map { $0.reference.map(undefined.contains) == true ? .none : $0 })])
  }
}
