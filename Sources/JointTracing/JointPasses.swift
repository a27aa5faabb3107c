import AOTArtifacts
import GraphIR
import Operators

/// What is done to a joint graph once it is traced, in this order.
enum JointPasses {
  static let pipeline = PassPipeline([
    HistoryGraftRemoval(),  // first, so that nothing else need know the operator
    DeadCodeElimination(),  // before calls are compared: what is dead is not worth it
    CommonSubexpressionElimination(),  // derivatives compute again what their forward call computed
  ])
}

/// Replaces each `with_history` by its tensor: the gradient history that it grafts has been followed.
struct HistoryGraftRemoval: GraphPass {
  let name = "history-graft-removal"

  func run(on module: inout GraphModule) throws -> Int {
    var changes = 0
    for id in module.graph.nodes where module.graph[id].calls(OperatorLibrary.withHistory) {
      guard let tensor = module.graph[id].arguments.first?.reference else { continue }
      module.graph.replaceAllUses(of: id, with: tensor)
      changes += 1
    }
    return changes
  }
}
