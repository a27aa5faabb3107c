import AOTArtifacts
import GraphIR
import Operators

/// What is done to a joint graph once it is traced, in this order.
enum JointPasses {
  struct Pass: Sendable {
    let name: String
    let run: @Sendable (inout JointGraph) throws -> Void
  }

  static let all: [Pass] = [
    // First, so that nothing else need know the operator: derivatives were its only reason.
    Pass(name: "data-replacement-removal") { $0.module.graph.replaceHistoriesByData() },
    // Before calls are merged: what is dead is not worth comparing.
    Pass(name: "dead-code-elimination") { try $0.module.graph.eraseDeadCode() },
    // Last, since it is dead code that leaves tangents without users.
    Pass(name: "dead-tangent-removal") { try $0.eraseDeadTangents() },
  ]

  static func run(_ joint: inout JointGraph) throws {
    for pass in all { try pass.run(&joint) }
  }
}

extension Graph {
  /// Replaces each `with_data` by its data.
  fileprivate mutating func replaceHistoriesByData() {
    for id in nodes where self[id].calls(OperatorLibrary.withData) {
      if let data = self[id].arguments.last?.reference { replaceAllUses(of: id, with: data) }
    }
  }

  /// Removes calls that nothing uses and that do nothing else.
  fileprivate mutating func eraseDeadCode() throws {
    for id in nodes.reversed() where !hasUsers(id) {
      switch self[id].kind {
      case .callFunction(let target) where target.isPure: try erase(id)
      case .getAttribute: try erase(id)
      default: continue
      }
    }
  }
}

extension JointGraph {
  /// Removes tangents that no gradient depends on.
  fileprivate mutating func eraseDeadTangents() throws {
    let tangents = module.graph.placeholders.dropFirst(primalCount)
    for (tangent, output) in zip(tangents, differentiableOutputs) where !module.graph.hasUsers(tangent) {
      try module.graph.erase(tangent)
      differentiableOutputs.removeAll { $0 == output }
    }
  }
}
