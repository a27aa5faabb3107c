import TensorCore

/// Runs a module's graph node by node.
///
/// Subclass it to see or change what nodes give: each kind of node has a method of its own. A value is let go as soon as the last
/// node that uses it has run.
open class Interpreter {
  public let module: GraphModule
  private let order: [NodeID]
  /// The values that nobody needs once a node has run.
  private let released: NodeMap<[NodeID]>

  public init(_ module: GraphModule) {
    self.module = module
    let graph = module.graph
    order = graph.nodes
    var released = NodeMap<[NodeID]>(for: graph)
    var isNeededLater = NodeMap<Bool>(for: graph)
    for id in order.reversed() {
      var last: [NodeID] = []
      for input in graph.inputs(of: id) where isNeededLater[input] == nil {
        isNeededLater[input] = true
        last.append(input)
      }
      if isNeededLater[id] == nil { last.append(id) }
      if !last.isEmpty { released[id] = last }
    }
    self.released = released
  }

  public convenience init(_ graph: Graph) { self.init(GraphModule(graph)) }

  /// Runs the graph.
  ///
  /// - Parameter arguments: One value per graph input, in order.
  /// - Returns: What the graph returns.
  /// - Throws: `GraphError` for a wrong number of arguments or a graph without output; `ExecutionError` for what a node throws.
  open func run(_ arguments: [Value]) throws -> Value {
    let graph = module.graph
    let inputCount = order.count { graph[$0].isPlaceholder }
    guard arguments.count == inputCount else {
      throw GraphError(.invalidArgument, "the graph has \(inputCount) inputs, got \(arguments.count) arguments")
    }
    var values = NodeMap<Value>(for: graph)
    var inputs = arguments.makeIterator()
    for id in order {
      let node = graph[id]
      do {
        switch node.kind {
        case .placeholder: values[id] = try input(id, inputs.next() ?? .none)
        case .getAttribute(let path): values[id] = try attribute(id, path)
        case .callFunction(let target):
          values[id] = try call(id, target, try Self.bound(node, target, values, graph))
        case .output: return try output(id, try Self.loaded(node.arguments.first ?? .none, values, graph))
        }
      } catch let error as ExecutionError {
        throw error
      } catch {
        throw ExecutionError(
          node: node.name, operatorName: node.target?.name, source: node.metadata.source, underlying: error)
      }
      for unused in released[id] ?? [] { values[unused] = nil }
    }
    throw GraphError(.malformed, "the graph has no output")
  }

  // MARK: Nodes

  /// A graph input that got this value. Gives the value that its users see.
  open func input(_ id: NodeID, _ value: Value) throws -> Value { value }

  /// A read of an attribute. Gives the tensor, or a nested module's path as a string.
  open func attribute(_ id: NodeID, _ path: String) throws -> Value {
    if let tensor = module.attribute(path) { return .reference(tensor) }
    if module.module(path) != nil { return .string(path) }
    throw GraphError(.missingAttribute, "the module has no attribute '\(path)'")
  }

  /// A call with one argument per parameter. Gives its result.
  open func call(_ id: NodeID, _ target: any Operator, _ arguments: [Value]) throws -> Value {
    guard target.traits.contains(.callsGraphs), let target = target as? any GraphCallingOperator else {
      return try target.evaluate(arguments)
    }
    return try target.evaluate(arguments) { path, arguments in
      guard let nested = module.module(path) else {
        throw GraphError(.missingAttribute, "the module has no nested module '\(path)'")
      }
      return try interpreter(for: nested).run(arguments)
    }
  }

  /// What the graph returns.
  open func output(_ id: NodeID, _ value: Value) throws -> Value { value }

  /// The interpreter that runs a nested module. A subclass gives one of its own kind.
  open func interpreter(for module: GraphModule) -> Interpreter { Interpreter(module) }

  // MARK: Arguments

  private static func bound(
    _ node: Node, _ target: any Operator, _ values: NodeMap<Value>, _ graph: Graph
  ) throws -> [Value] {
    let positional = try node.arguments.map { try loaded($0, values, graph) }
    let keywords = try node.keywordArguments.map { (name: $0.name, value: try loaded($0.value, values, graph)) }
    return try target.schema.bind(positional, keywords: keywords)
  }

  private static func loaded(_ argument: GraphArgument, _ values: NodeMap<Value>, _ graph: Graph) throws -> Value {
    try argument.map { (id: NodeID) throws(GraphError) -> Value in
      guard let value = values[id] else {
        throw GraphError(.malformed, "uses '\(graph[id].name)' before it is defined")
      }
      return value
    }
  }
}
