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

/// Replaces `with_data` by its data where the gradient history that it keeps leads to no input.
struct UnneededHistoryRemoval: GraphPass {
  let name = "unneeded-history-removal"
  let requiresGrad: [Bool]

  func run(on module: inout GraphModule) throws -> Int {
    let flow = GradientFlow(module.graph, placeholders: requiresGrad)
    var changes = 0
    for id in module.graph.nodes where module.graph[id].calls(OperatorLibrary.withData) {
      let references = module.graph[id].arguments.compactMap(\.reference)
      guard references.count == 2, !flow.requiresGrad(references[0]) else { continue }
      module.graph.replaceAllUses(of: id, with: references[1])
      changes += 1
    }
    return changes
  }
}
