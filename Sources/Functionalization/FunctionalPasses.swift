import AOTArtifacts
import GraphIR
import Operators

/// What is done to a functional graph once it is recorded, in this order.
struct FunctionalPasses {
  let pipeline: PassPipeline

  /// - Parameter requiresGrad: Per input, whether a gradient will be taken.
  init(requiresGrad: [Bool]) {
    pipeline = PassPipeline([
      UnneededHistoryRemoval(requiresGrad: requiresGrad),  // first: what it leaves unused is dead
      DeadCodeElimination(),  // views that were made anew but not read, writes that were overwritten
      CommonSubexpressionElimination(),  // views of one value that several tensors made anew
    ])
  }
}

/// Replaces a tensor that only keeps the gradient history of what it overwrote by what it was overwritten with, where that
/// history leads to no input, or by a plain copy that nobody can tell from it.
struct UnneededHistoryRemoval: GraphPass {
  let name = "unneeded-history-removal"
  let requiresGrad: [Bool]

  func run(on module: inout GraphModule) throws -> Int {
    let flow = GradientFlow(module.graph, placeholders: requiresGrad)
    let aliases = AliasAnalysis(module.graph)
    var changes = 0
    for id in module.graph.nodes {
      guard let (new, old) = module.graph.replacement(of: id) else { continue }
      let isUnneeded =
        if module.graph[id].calls(OperatorLibrary.withHistory) {
          !flow.requiresGrad(old)
        } else {
          isPlainCopy(id, of: new, in: module.graph, aliases) && flow.requiresGrad(id) == flow.requiresGrad(new)
        }
      guard isUnneeded else { continue }
      var replacement = new
      if !flow.requiresGrad(id), flow.requiresGrad(new) {
        let metadata = module.graph[metadata: id]
        replacement = module.graph.inserting(.before(id)) {
          $0.call(OperatorLibrary.detach, [.reference(new)], metadata: metadata)
        }
      }
      module.graph.replaceAllUses(of: id, with: replacement)
      changes += 1
    }
    return changes
  }

  /// Whether a copy differs from its source in nothing but its memory, and nobody can tell that either.
  private func isPlainCopy(_ id: NodeID, of source: NodeID, in graph: Graph, _ aliases: AliasAnalysis) -> Bool {
    guard let copy = graph[metadata: id].tensor, let original = graph[metadata: source].tensor,
      copy.dtype == original.dtype, copy.layout == original.layout
    else { return false }
    return !aliases.isReturned(id) && !aliases.isWritten(source)
  }
}
