import GraphIR
import Operators
import TensorCore

extension Graph {
  /// Whether a call such as `t_` gives a tensor another layout.
  public func changesLayout(of tensor: NodeID, byCall id: NodeID) -> Bool {
    self[id].changesLayoutOnly && self[id].arguments.first?.reference == tensor
  }

  /// Whether autograd sees a call on a tensor before another one, such as `t_`, gives the tensor another layout.
  public func isUsedBeforeLayoutChange(_ tensor: NodeID) -> Bool {
    func isSeen(_ id: NodeID) -> Bool {
      guard let target = self[id].target as? OperatorDefinition else { return false }
      let hasHistory = self[id].metadata.value?.references.contains { $0.dtype.isFloatingPoint } ?? true
      return hasHistory && self[id].metadata.gradMode != false && target.derivative?.isEmpty != true
    }
    let users = users(of: tensor)
    guard users.contains(where: { changesLayout(of: tensor, byCall: $0) }) else { return users.contains(where: isSeen) }
    // Users are listed as they came to be, which need not be their order in the graph.
    let uses = Set(users)
    return nodes.prefix { !changesLayout(of: tensor, byCall: $0) }.contains { uses.contains($0) && isSeen($0) }
  }
}

extension Node {
  /// Whether it is a call that writes no elements, but gives a tensor another layout.
  public var changesLayoutOnly: Bool { (target as? OperatorDefinition)?.mutatesLayoutOnly == true }
}
