import TensorCore

/// `operator.getitem(sequence, index)`: picks one result of a call that gives several.
public final class GetItem: Operator {
  public static let shared = GetItem()

  public let schema = OperatorSchema(
    name: OperatorName("operator", "getitem"),
    parameters: [.init("sequence", .anything), .init("index", .int)], returns: [.init(.anything)])
  public let traits: OperatorTraits = []

  private init() {}

  public func evaluate(_ arguments: [Value]) throws -> Value {
    guard arguments.count == 2, let elements = arguments[0].elements, case .int(let index) = arguments[1],
      elements.indices.contains(index.value)
    else { throw GraphError(.invalidArgument, "operator.getitem needs a sequence and an index inside it") }
    return elements[index.value]
  }
}

/// `higher_order.invoke_subgraph(module, [arguments…])`: runs a nested module and gives what its graph returns.
public final class InvokeSubgraph: GraphCallingOperator {
  public static let shared = InvokeSubgraph()

  public let schema = OperatorSchema(
    name: OperatorName("higher_order", "invoke_subgraph"),
    parameters: [.init("module", .anything), .init("arguments", .list(.anything, count: nil))],
    returns: [.init(.anything)])
  // What the nested graph does is not known from the call: assume that it matters.
  public let traits: OperatorTraits = [.callsGraphs, .effectful]

  private init() {}

  public func evaluate(_ arguments: [Value], running run: (String, [Value]) throws -> Value) throws -> Value {
    guard arguments.count == 2, case .string(let path) = arguments[0], let operands = arguments[1].elements else {
      throw GraphError(.invalidArgument, "\(name) needs a module and a list of arguments")
    }
    return try run(path, operands)
  }
}

/// The operators on structure that this module brings itself.
enum StructuralOperators {
  static func lookup(_ name: OperatorName) -> (any Operator)? {
    if name == GetItem.shared.name { return GetItem.shared }
    return name == InvokeSubgraph.shared.name ? InvokeSubgraph.shared : nil
  }
}
