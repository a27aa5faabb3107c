import GraphIR
import LoopIR
import TensorCore

/// A graph of tensor operators as a loop program: each operator's own lowering, in order, over buffers.
///
/// Views cost nothing: they are other operands over the same buffer. Values that the graph returns get memory of the
/// caller's, everything in between is temporary.
public struct GraphLowering: Sendable {
  public let program: LoopProgram
  /// What the caller passes for each external buffer, by position. Placeholders that nothing reads have none.
  public let externals: [External]
  /// Where each element of the graph's output tuple comes from.
  public let outputs: [Output]
  /// Positions of the external buffers that belong to the caller's tensors and are written to.
  public let writtenExternals: [Int]

  public enum External: Hashable, Sendable {
    /// The memory of the argument for this placeholder, which has this layout from its first element on.
    case placeholder(Int, TensorMeta)
    /// The memory of a tensor that the module holds.
    case attribute(String)
    /// New memory for a result.
    case result(dtype: DType, elementCount: Int)
  }

  public enum Output: Hashable, Sendable {
    /// A view of the memory passed for an external buffer.
    case external(Int, Layout, DType)
    case constant(Constant)
    case list([Output])
  }

  /// - Throws: `OperatorError` where an operator has no kernel, naming it and the user's source line.
  public init(_ module: GraphModule) throws {
    var writer = GraphLoweringWriter(module)
    try writer.write()
    program = writer.builder.program
    externals = writer.externals
    outputs = try writer.outputs()
    writtenExternals = writer.written.sorted()
  }
}

/// The state of one lowering.
private struct GraphLoweringWriter {
  let module: GraphModule
  let graph: Graph
  /// What the placeholders stand for where the graph becomes part of another program; nil where it is the program.
  let inlinedArguments: [Operand]?
  var builder: LoopBuilder
  var externals: [GraphLowering.External] = []
  var written: Set<Int> = []
  /// What each node gave, by node index.
  private var values: [Argument<Operand>?]
  /// The position of each external buffer.
  private var positions: [BufferID: Int] = [:]
  /// Nodes whose results share memory with something that is returned.
  private var returned: Set<NodeID> = []

  init(_ module: GraphModule, inlining arguments: [Operand]? = nil, into builder: LoopBuilder = LoopBuilder()) {
    self.module = module
    self.graph = module.graph
    self.inlinedArguments = arguments
    self.builder = builder
    values = Array(repeating: nil, count: graph.indexBound)
    // The results of a part are copied to where they belong.
    if arguments == nil { graph.result.forEachReference { markReturned($0) } }
  }

  /// Marks the node that owns the memory of a returned value.
  private mutating func markReturned(_ id: NodeID) {
    var owner = id
    while let target = graph[owner].target, let next = graph[owner].arguments.first?.reference {
      guard target === GetItem.shared || isView(target) || target.schema.isMutating else { break }
      // A returned element of a several-valued call: the element owns its memory.
      if target === GetItem.shared, let source = graph[next].target, !isView(source) { break }
      owner = next
    }
    returned.insert(owner)
  }

  private func isView(_ target: any Operator) -> Bool {
    if let definition = target as? OperatorDefinition, case .view = definition.implementation { true } else { false }
  }

  mutating func write() throws {
    var placeholder = 0
    for id in graph.nodes {
      let node = graph[id]
      switch node.kind {
      case .placeholder:
        if let inlinedArguments {
          values[Int(id.index)] = .reference(inlinedArguments[placeholder])
        } else if let meta = node.metadata.tensor, graph.hasUsers(id) {
          values[Int(id.index)] = .reference(external(.placeholder(placeholder, meta), meta))
        }
        placeholder += 1
      case .getAttribute(let path):
        guard let meta = node.metadata.tensor else { continue }
        values[Int(id.index)] = .reference(external(.attribute(path), meta))
      case .callFunction(let target):
        do {
          values[Int(id.index)] = try lower(id, node, target)
        } catch var error as OperatorError {
          error.source = error.source ?? node.metadata.source
          throw error
        }
      case .output: break
      }
    }
  }

  private mutating func external(_ external: GraphLowering.External, _ meta: TensorMeta) -> Operand {
    var layout = meta.layout
    if case .result = external {} else { layout.offset = 0 }
    let buffer = builder.external(meta.dtype, elementCount: layout.elementRange.upperBound)
    positions[buffer] = externals.count
    externals.append(external)
    return Operand(
      buffer: buffer, dtype: meta.dtype, sizes: layout.sizes.values, strides: layout.strides.values,
      offset: layout.offset.value)
  }

  private mutating func lower(_ id: NodeID, _ node: Node, _ target: any Operator) throws -> Argument<Operand> {
    let arguments = try bound(node, target)
    if target === GetItem.shared {
      guard let elements = arguments[0].elements, case .int(let index) = arguments[1],
        elements.indices.contains(index.value)
      else { throw OperatorError(.index, target.name, "there is no such result to pick") }
      return elements[index.value]
    }
    guard let definition = target as? OperatorDefinition else {
      throw OperatorError(.notImplemented, target.name, "is no operator of the library and has no kernel")
    }
    let call = LoweringCall(definition, arguments)
    switch definition.implementation {
    case .view: return try view(call, node)
    case .kernel(_, let lowering):
      let results = try allocate(id, node)
      try lowering(call, results, &builder)
      return packed(results, node)
    case .copy(let rule):
      let results = try allocate(id, node)
      for (view, result) in zip(try views(call, node, rule), results) { builder.copy(view, to: result) }
      return packed(results, node)
    case .inPlace(let functional):
      guard case .kernel(_, let lowering) = functional.implementation else {
        throw OperatorError(.notImplemented, target.name, "has no kernel that could write in place")
      }
      let destination = try call.reference(0)
      if let position = positions[destination.buffer] { written.insert(position) }
      try lowering(LoweringCall(functional, arguments), [destination], &builder)
      return .reference(destination)
    case .host(_, let body):
      let results = try allocate(id, node)
      let source = node.metadata.source
      let kernel = HostKernel(call, results: results) { call, results in
        do {
          try body(call, results)
        } catch var error as OperatorError where error.source == nil {
          error.source = source
          throw error
        }
      }
      builder.append(.host(kernel))
      return packed(results, node)
    case .mutating, .setStorage:
      throw OperatorError(
        .notImplemented, target.name, "writes to its arguments: functionalize the graph before it is lowered")
    case .composite:
      throw OperatorError(.notImplemented, target.name, "is a composite: decompose the graph before it is lowered")
    }
  }

  private func bound(_ node: Node, _ target: any Operator) throws -> [Argument<Operand>] {
    try target.schema.bind(
      node.arguments.map(resolved), keywords: node.keywordArguments.map { ($0.name, try resolved($0.value)) })
  }

  func resolved(_ argument: GraphArgument) throws -> Argument<Operand> {
    try argument.map { id in
      guard let value = values[Int(id.index)] else {
        throw OperatorError(.argument, nil, "node '\(graph[id].name)' has no tensor value to compute with")
      }
      return value
    }
  }

  /// The layouts of views stand in the metadata, relative to where the base's memory starts.
  private func view(_ call: LoweringCall, _ node: Node) throws -> Argument<Operand> {
    let source = try call.reference(0)
    guard let meta = node.metadata.value else {
      throw OperatorError(.shape, call.target.name, "node '\(node.name)' has no metadata; propagate it first")
    }
    let shift = try offsetShift(node, source)
    return meta.map { .reference(source.viewed(as: $0.layout, $0.dtype, shiftedBy: shift)) }
  }

  /// What an operator that copies views copies: no metadata has the layouts of these.
  private func views(
    _ call: LoweringCall, _ node: Node, _ rule: OperatorDefinition.ViewRule
  ) throws -> [Operand] {
    let source = try call.reference(0)
    guard let id = node.arguments.first?.reference, let meta = graph[id].metadata.tensor else {
      throw OperatorError(.shape, call.target.name, "node '\(node.name)' has no metadata; propagate it first")
    }
    let constants = call.arguments.dropFirst().map { ($0.constant ?? .none).widened() as Value }
    let standIn = OperatorCall(call.target, [.reference(try Tensor(fake: meta))] + constants)
    let dtype = try call.target.viewDType?(standIn) ?? meta.dtype
    let shift = try offsetShift(node, source)
    return try rule(standIn).map { source.viewed(as: $0, dtype, shiftedBy: shift) }
  }

  /// How far the offsets in the metadata are from those in the buffer, as for arguments that start inside a storage.
  private func offsetShift(_ node: Node, _ source: Operand) throws -> Int {
    guard let id = node.arguments.first?.reference, let meta = graph[id].metadata.tensor else { return 0 }
    return source.offset - meta.layout.offset.value
  }

  private mutating func allocate(_ id: NodeID, _ node: Node) throws -> [Operand] {
    guard let value = node.metadata.value else {
      throw OperatorError(.shape, node.target?.name, "node '\(node.name)' has no metadata; propagate it first")
    }
    if let meta = value.reference { return [allocate(meta, isReturned: returned.contains(id))] }
    let items = graph.users(of: id).filter { graph[$0].calls(GetItem.shared) }
    return (value.elements ?? []).enumerated().compactMap { index, element in
      guard let meta = element.reference else { return nil }
      let isReturned = items.contains { item in
        returned.contains(item) && graph[item].arguments.last == .int(SymInt(index))
      }
      return allocate(meta, isReturned: isReturned)
    }
  }

  private mutating func allocate(_ meta: TensorMeta, isReturned: Bool) -> Operand {
    if isReturned {
      return external(.result(dtype: meta.dtype, elementCount: meta.layout.elementRange.upperBound), meta)
    }
    let memory = builder.temporary(meta.dtype, [meta.layout.elementRange.upperBound])
    return memory.viewed(as: meta.layout.sizes.values, strides: meta.layout.strides.values, offset: 0)
  }

  /// The results in the structure that the metadata has: a result that the call does not give is none.
  private func packed(_ results: [Operand], _ node: Node) -> Argument<Operand> {
    var next = results.makeIterator()
    return (node.metadata.value ?? .none).map { _ in next.next().map { .reference($0) } ?? .none }
  }

  func outputs() throws -> [GraphLowering.Output] {
    guard let elements = graph.result.elements else {
      throw OperatorError(.argument, nil, "a graph to be compiled returns one tuple")
    }
    return try elements.map(output)
  }

  private func output(_ argument: GraphArgument) throws -> GraphLowering.Output {
    switch try resolved(argument) {
    case .reference(let operand):
      guard let position = positions[operand.buffer] else {
        throw OperatorError(.argument, nil, "a returned value lies in temporary memory")
      }
      let layout = Layout(
        sizes: [SymInt](operand.sizes), strides: [SymInt](operand.strides), offset: SymInt(operand.offset))
      return .external(position, layout, operand.dtype)
    case .list(let values), .tuple(let values):
      guard values.allSatisfy({ $0.reference == nil }) else {
        return .list(try (argument.elements ?? []).map(output))
      }
      return .constant(.list(values.compactMap(\.constant)))
    case let value:
      return .constant(value.constant ?? .none)
    }
  }
}

extension Operand {
  /// The buffer seen through a view's layout and dtype, whose offset lies so many elements of this operand further here.
  fileprivate func viewed(as layout: Layout, _ dtype: DType, shiftedBy shift: Int) -> Operand {
    Operand(
      buffer: buffer, dtype: dtype, sizes: layout.sizes.values, strides: layout.strides.values,
      offset: layout.offset.value + shift * self.dtype.byteCount / dtype.byteCount)
  }
}

extension LoopBuilder {
  /// Appends the kernels of a graph whose placeholders are buffers of this program, and copies of its results.
  mutating func inline(_ graph: Graph, arguments: [Operand], to results: [Operand]) throws {
    var writer = GraphLoweringWriter(GraphModule(graph), inlining: arguments, into: self)
    try writer.write()
    self = writer.builder
    let values = try writer.resolved(graph.result).references
    for (value, result) in zip(values, results) { copy(value, to: result) }
  }
}

extension Argument {
  /// The argument as a constant; nil where it holds a reference.
  var constant: Constant? { references.isEmpty ? map { _ in .none } : nil }
}

extension HostKernel {
  /// A host operator's body over operands: tensors are made over the buffers' memory for the time of the call.
  init(
    _ call: LoweringCall, results: [Operand],
    body: @escaping @Sendable (_ call: OperatorCall, _ results: [Tensor]) throws -> Void
  ) {
    let inputs = call.arguments.flatMap(\.references)
    self.init(name: call.target.name.description, inputs: inputs, outputs: results) { inputAddresses, outputAddresses in
      func tensor(_ operand: Operand, _ address: UnsafeMutableRawPointer) throws -> Tensor {
        let layout = Layout(
          sizes: [SymInt](operand.sizes), strides: [SymInt](operand.strides), offset: SymInt(operand.offset))
        let byteCount = layout.elementRange.upperBound * operand.dtype.byteCount
        return try Tensor(
          storage: Storage(adopting: address, byteCount: byteCount) { _ in }, layout: layout, dtype: operand.dtype)
      }
      var next = zip(inputs, inputAddresses).makeIterator()
      let arguments = try call.arguments.map { argument in
        try argument.map { operand -> Value in
          guard let (_, address) = next.next() else { return .none }
          return .reference(try tensor(operand, address))
        }
      }
      try body(OperatorCall(call.target, arguments), try zip(results, outputAddresses).map(tensor))
    }
  }
}
