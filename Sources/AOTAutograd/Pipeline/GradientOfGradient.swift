import AOTArtifacts
import EagerAutograd
import GraphIR
import JointTracing
import Operators

extension FunctionalGraph {
  /// Whether values have gradient histories that their computation does not tell.
  var hasGraftedHistories: Bool {
    module.graph.nodes.contains { id in
      guard let target = module.graph[id].target as? OperatorDefinition else { return false }
      return target.isCustomFunction || target === OperatorLibrary.withHistory
    }
  }
}

extension JointGraph {
  /// The gradients as a functional graph of the primals and tangents, to be differentiated in turn.
  ///
  /// - Parameter primals: What is known of the primals.
  /// - Throws: `AutogradError` with code `notDifferentiable` where the graph does not tell how its values depend on each other.
  func gradientGraph(_ primals: [ViewAndMutationMeta.InputInfo]) throws -> FunctionalGraph {
    var graph = module.graph
    let gradients = (graph.result.elements ?? []).dropFirst(forwardOutputCount).filter { !$0.isNone }
    graph.setOutput(.tuple(gradients), descriptors: gradients.indices.map { .output($0 - gradients.startIndex) })
    for id in graph.nodes.reversed() {
      guard let target = graph[id].target else { continue }
      // What the first pass has done and checked is not done again.
      let isChecked = graph[id].checksElements && !graph.hasUsers(id)
      if target.traits.contains(.effectful) || target.schema.isMutating || isChecked { try graph.erase(id) }
    }
    for (index, id) in graph.placeholders.enumerated() { graph[metadata: id].descriptor = .input(index) }
    for id in graph.nodes {
      graph[metadata: id].isBackward = false
      graph[metadata: id].recompute = nil
    }
    let tangents = graph.placeholders.dropFirst(primalCount)
    let outputs = gradients.map { gradient -> ViewAndMutationMeta.OutputInfo in
      let meta = gradient.reference.flatMap { graph[metadata: $0].tensor }
      return .init(kind: .nonAlias, meta: meta, requiresGrad: true)
    }
    var result = module
    result.graph = graph
    _ = try DeadCodeElimination().run(on: &result)
    return FunctionalGraph(
      module: result,
      meta: ViewAndMutationMeta(
        inputs: primals.map { .init(requiresGrad: $0.requiresGrad, isLeaf: $0.isLeaf) }
          + tangents.map { _ in .init(requiresGrad: true, isLeaf: false) },
        outputs: outputs))
  }
}
