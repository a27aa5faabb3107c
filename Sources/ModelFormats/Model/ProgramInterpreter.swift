import GraphIR
import Operators
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
    let context = DispatchContext.current
    let outer = context.programSource
    context.programSource = module.graph[id].metadata.source ?? outer
    defer { context.programSource = outer }
    guard let value = decided[id] else { return try super.call(id, target, arguments) }
    switch Decisions.kind(of: id, in: module.graph) {
    case .branch, .loop: return try super.call(id, target, [value] + arguments.dropFirst())
    case .mask:
      return try super.call(id, target, [arguments[0], Self.indices(arguments[1], value)] + arguments.dropFirst(2))
    case .value, nil: return value
    }
  }

  /// What a graph that is called runs by: the same, but for values that are known.
  override func interpreter(for module: GraphModule) -> Interpreter {
    ProgramInterpreter(module, attributes: attributes)
  }

  /// Indices with masks replaced by the places, one column per dimension, where they hold.
  private static func indices(_ indices: Value, _ places: Value) throws -> Value {
    var places = (places.elements ?? [])[...]
    return .list(
      try (indices.elements ?? []).flatMap { index -> [Value] in
        guard index.reference?.dtype == .bool, let found = places.popFirst()?.reference else { return [index] }
        return try (0..<found.shape[1]).map { .reference(try found.select(1, $0)) }
      })
  }
}
