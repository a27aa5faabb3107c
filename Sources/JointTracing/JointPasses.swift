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

/// Replaces what only says where gradients go by the elements that it passes on: gradients have been followed.
public struct HistoryGraftRemoval: GraphPass {
  public let name = "history-graft-removal"

  public init() {}

  public func run(on module: inout GraphModule) throws -> Int {
    var changes = 0
    for id in module.graph.nodes {
      guard let tensor = module.graph.elementsPassedOn(by: id) else { continue }
      module.graph.replaceAllUses(of: id, with: tensor)
      changes += 1
    }
    return changes
  }
}

extension Graph {
  /// The value whose elements a node gives with another gradient history; nil for a node that does not.
  fileprivate func elementsPassedOn(by id: NodeID) -> NodeID? {
    if self[id].calls(OperatorLibrary.withHistory) { return self[id].arguments.first?.reference }
    guard let index = getItemIndex(of: id), let call = self[id].arguments.first?.reference,
      (self[call].target as? OperatorDefinition)?.isCustomFunction == true,
      let outputs = self[call].arguments.first?.elements, outputs.indices.contains(index)
    else { return nil }
    return outputs[index].reference
  }
}
