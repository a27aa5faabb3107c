import GraphIR
import TensorCore

/// Runs a program, with other tensors in the place of some attributes, and with values that are known already.
final class ProgramInterpreter: Interpreter {
  private let attributes: [String: Tensor]
  private let decided: [NodeID: Value]

  init(_ module: GraphModule, attributes: [String: Tensor] = [:], decided: [NodeID: Value] = [:]) {
    self.attributes = attributes
    self.decided = decided
    super.init(module)
  }

  override func attribute(_ id: NodeID, _ path: String) throws -> Value {
    try attributes[path].map { .reference($0) } ?? super.attribute(id, path)
  }

  override func call(_ id: NodeID, _ target: any Operator, _ arguments: [Value]) throws -> Value {
    guard let value = decided[id] else { return try super.call(id, target, arguments) }
    guard target is HigherOrderOperator else { return value }
    return try super.call(id, target, [value] + arguments.dropFirst())
  }
}
