import GraphIR
import Operators
import TensorCore

/// One graph while it is built: its values by the names that the file has for them.
struct Scope {
  var graph = Graph()
  private(set) var modules: [String: GraphModule] = [:]
  private let operators: ProgramOperators
  private var values: [String: GraphArgument] = [:]

  init(_ operators: ProgramOperators) { self.operators = operators }

  /// A graph that is called by another, with all that it calls.
  static func nested(_ program: ProgramGraph, _ operators: ProgramOperators) throws(ModelFormatError) -> GraphModule {
    var scope = Scope(operators)
    for (position, input) in program.inputs.enumerated() { try scope.placeholder(input, named: nil, position, program) }
    for node in program.nodes { try scope.add(node, of: program) }
    var results: [GraphArgument] = []
    for output in program.outputs { results.append(try scope.argument(output)) }
    scope.graph.output(.tuple(results))
    return GraphModule(scope.graph, modules: scope.modules)
  }

  private mutating func define(_ name: String, _ value: GraphArgument) throws(ModelFormatError) {
    guard values.updateValue(value, forKey: name) == nil else {
      throw ModelFormatError(.malformed, "the value '\(name)' is defined twice")
    }
  }

  // MARK: - Inputs

  mutating func placeholder(
    _ argument: ProgramArgument, named name: String?, _ position: Int, _ program: ProgramGraph
  ) throws(ModelFormatError) {
    let metadata = NodeMetadata(value: Self.meta(argument, program), descriptor: .input(position))
    switch argument {
    case .tensor(let name), .symbol(let name): try define(name, .reference(graph.placeholder(name, metadata: metadata)))
    // A constant input: nothing refers to it.
    default: graph.placeholder(name ?? "input_\(position)", metadata: metadata)
    }
  }

  mutating func attribute(
    _ argument: ProgramArgument, _ path: String, _ program: ProgramGraph
  ) throws(ModelFormatError) {
    guard case .tensor(let name) = argument else {
      throw ModelFormatError(.malformed, "the input for '\(path)' is no tensor")
    }
    let id = graph.getAttribute(path, name: name, metadata: NodeMetadata(value: Self.meta(argument, program)))
    try define(name, .reference(id))
  }

  /// The metadata of a tensor whose sizes are known.
  private static func meta(_ argument: ProgramArgument, _ program: ProgramGraph) -> MetaValue? {
    guard case .tensor(let name) = argument, let tensor = program.tensors[name], case .dtype(let dtype) = tensor.type,
      let layout = try? tensor.layout(dtype)
    else { return nil }
    return .reference(TensorMeta(dtype: dtype, layout: layout, requiresGrad: tensor.requiresGrad))
  }

  // MARK: - Nodes

  mutating func add(_ node: ProgramNode, of program: ProgramGraph) throws(ModelFormatError) {
    do throws(ModelFormatError) {
      guard let target = operators.lookup(target: node.target) else {
        throw ModelFormatError(.unsupported, "the operator '\(node.target)' is not in the library")
      }
      var metadata = NodeMetadata(source: node.source)
      if let higherOrder = target as? HigherOrderOperator {
        let id = graph.call(
          target, try arguments(of: node, for: higherOrder), name: node.name, metadata: metadata)
        for (index, output) in node.outputs.enumerated() { try pick(output, index, of: id, program) }
        return
      }
      let (positional, keywords) = try arguments(of: node, for: target)
      let isSingle = target.schema.returns.count == 1
      if isSingle, let output = node.outputs.first, let name = output.valueName {
        metadata.value = Self.meta(output, program)
        let id = graph.call(target, positional, keywords, name: name, metadata: metadata)
        try define(name, .reference(id))
        return
      }
      guard node.outputs.count == target.schema.returns.count else {
        throw ModelFormatError(
          .malformed, "has \(node.outputs.count) results, but \(target.name) gives \(target.schema.returns.count)")
      }
      let id = graph.call(target, positional, keywords, name: node.name, metadata: metadata)
      if isSingle, case .list(let parts)? = node.outputs.first {
        for (index, part) in parts.enumerated() { try pick(part, index, of: id, program) }
      } else {
        for (index, output) in node.outputs.enumerated() { try pick(output, index, of: id, program) }
      }
    } catch {
      throw error.atNode(node.name)
    }
  }

  /// Names one of several results.
  private mutating func pick(
    _ output: ProgramArgument, _ index: Int, of id: NodeID, _ program: ProgramGraph
  ) throws(ModelFormatError) {
    if let name = output.valueName {
      let metadata = NodeMetadata(value: Self.meta(output, program), source: graph[id].metadata.source)
      try define(name, .reference(graph.getItem(id, index, name: name, metadata: metadata)))
    } else if case .list(let parts) = output {
      let list = graph.getItem(id, index)
      for (index, part) in parts.enumerated() { try pick(part, index, of: list, program) }
    }
  }

  // MARK: - Arguments

  /// The arguments of a call, each as its parameter wants it.
  private mutating func arguments(
    of node: ProgramNode, for target: any Operator
  ) throws(ModelFormatError) -> (positional: [GraphArgument], keywords: [KeywordArgument]) {
    var positional: [GraphArgument] = []
    var keywords: [(name: String, value: GraphArgument)] = []
    for input in node.inputs {
      do throws(ModelFormatError) {
        let value = try argument(input.argument)
        // What is no tensor operator has Python's parameter names, which say nothing.
        if input.name.isEmpty || target is SymbolicOperator {
          positional.append(value)
        } else {
          keywords.append((input.name, value))
        }
      } catch {
        throw error.atArgument(input.name)
      }
    }
    do {
      let bound = try target.schema.bind(positional, keywords: keywords)
      let call = target.schema.shortestCall(bound)
      return (call.positional, call.keywords.map { KeywordArgument($0.name, $0.value) })
    } catch {
      throw ModelFormatError(.malformed, error.message)
    }
  }

  private mutating func arguments(
    of node: ProgramNode, for target: HigherOrderOperator
  ) throws(ModelFormatError) -> [GraphArgument] {
    var values: [GraphArgument] = []
    for (position, input) in node.inputs.enumerated() {
      do throws(ModelFormatError) {
        values.append(try argument(input.argument))
      } catch {
        throw error.atArgument("\(position)")
      }
    }
    let count = target.schema.parameters.count
    if target.gathersOperands, values.count >= count - 1 {
      values = Array(values[..<(count - 1)]) + [.list(Array(values[(count - 1)...]))]
    }
    guard values.count == count else {
      throw ModelFormatError(.malformed, "has \(values.count) arguments, but \(target.name) takes \(count)")
    }
    return values
  }

  /// An argument with names resolved.
  mutating func argument(_ argument: ProgramArgument) throws(ModelFormatError) -> GraphArgument {
    switch argument {
    case .none: return .none
    case .tensor(let name), .symbol(let name):
      guard let value = values[name] else {
        throw ModelFormatError(.malformed, "the value '\(name)' is used before it is defined")
      }
      return value
    case .bool(let value): return .bool(value)
    case .int(let value):
      guard SymInt.concreteRange.contains(value) else {
        throw ModelFormatError(.unsupported, "the integer \(value) is too far below zero")
      }
      return .int(SymInt(value))
    case .double(let value): return .double(value)
    case .string(let value): return .string(value)
    case .dtype(let type): return .dtype(try type.known())
    case .memoryFormat(let number):
      let formats: [MemoryFormat] = [.contiguous, .channelsLast, .channelsLast3D, .preserve]
      guard formats.indices.contains(number - 1) else {
        throw ModelFormatError(.malformed, "there is no memory format \(number)")
      }
      return .memoryFormat(formats[number - 1])
    case .layout(let number):
      guard number == ProgramTensor.stridedLayout else {
        throw ModelFormatError(.unsupported, "the layout \(number), sparse or opaque, is not supported")
      }
      return .string("strided")
    // Tensors are loaded to the CPU, whichever device the program was exported on.
    case .device: return .device(.cpu)
    case .list(let parts):
      var values: [GraphArgument] = []
      for part in parts { values.append(try self.argument(part)) }
      return .list(values)
    case .dictionary(let entries):
      var values: [GraphArgument.DictionaryEntry] = []
      for entry in entries { values.append(.init(key: entry.key, value: try self.argument(entry.value))) }
      return .dictionary(values)
    case .graph(let name, let program):
      var path = name
      while modules[path] != nil { path += "_" }
      modules[path] = try Scope.nested(program, operators)
      return .reference(graph.getAttribute(path))
    case .unsupported(let tag):
      throw ModelFormatError(.unsupported, "an argument of kind '\(tag)' is not supported")
    }
  }
}

extension ProgramArgument {
  /// The name of the value that a result is.
  fileprivate var valueName: String? {
    switch self {
    case .tensor(let name), .symbol(let name): name
    default: nil
    }
  }
}
