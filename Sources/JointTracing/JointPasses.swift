import AOTArtifacts
import GraphIR
import Operators

/// What is done to a joint graph once it is traced, in this order.
enum JointPasses {
  static let pipeline = PassPipeline([
    DataReplacementRemoval(),  // first, so that nothing else need know the operator
    DeadCodeElimination(),  // before calls are compared: what is dead is not worth it
    CommonSubexpressionElimination(),  // derivatives compute again what their forward call computed
  ])
}

/// Replaces each `with_data` by its data: the gradient history that it keeps has been followed.
struct DataReplacementRemoval: GraphPass {
  let name = "data-replacement-removal"

  func run(on module: inout GraphModule) throws -> Int {
    var changes = 0
    for id in module.graph.nodes where module.graph[id].calls(OperatorLibrary.withData) {
      guard let data = module.graph[id].arguments.last?.reference else { continue }
      module.graph.replaceAllUses(of: id, with: data)
      changes += 1
    }
    return changes
  }
}
