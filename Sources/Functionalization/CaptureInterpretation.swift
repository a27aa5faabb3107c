import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// Runs a captured graph node by node on aliases of functional values, which records the functional graph.
struct CaptureInterpretation {
  let capture: AOTGraphCapture
  let recorder: FunctionalRecorder
  let replay: ViewReplay
  let effects: EffectChains
  let random: RandomStream
  private(set) var inputs: [CapturedTensor] = []
  /// What the inputs are when the function starts.
  private(set) var inputViews: [AliasView] = []
  /// What stands in the functional graph for inputs and constants, as they are when it starts.
  private(set) var inputValues: [Tensor] = []
  private(set) var constantValues: [Tensor] = []
  private var constants: [String: CapturedTensor] = [:]
  private var memoryByStorage: [Int: (memory: Memory, name: String)] = [:]
  private var constantByStorage: [ObjectIdentifier: (memory: Memory, name: String)] = [:]
  private var values: [NodeID: CapturedValue] = [:]
  private var graph: Graph { capture.module.graph }

  init(_ capture: AOTGraphCapture, recorder: FunctionalRecorder) {
    self.capture = capture
    self.recorder = recorder
    self.replay = ViewReplay(recorder: recorder)
    self.effects = EffectChains(capture.module.graph, recorder: recorder)
    self.random = RandomStream(capture, recorder: recorder)
  }

  /// Runs every node.
  ///
  /// - Returns: What the captured graph returns.
  mutating func run() throws -> CapturedValue {
    for id in graph.placeholders { try run(id) }
    // Behind the program's own inputs, in the order in which the wrappers pass them.
    try effects.addInputs()
    try random.addInputs()
    for id in graph.nodes where !graph[id].isPlaceholder { try run(id) }
    return graph.output.flatMap { values[$0] } ?? .tuple([])
  }

  /// What the inputs are, as tensors of their own, that were given other memory.
  var inputsWithOtherMemory: [CapturedValue] {
    Swift.zip(inputs, inputViews).compactMap { input, view in
      input.view.memory === view.memory ? nil : .reference(CapturedTensor(input.view))
    }
  }

  private mutating func run(_ id: NodeID) throws {
    let node = graph[id]
    do {
      values[id] = try recorder.with(node.metadata) { try value(of: node) }
    } catch var error as OperatorError {
      // Where this stage calls an operator is of no interest; where the user did is.
      error.source = node.metadata.source ?? error.source
      throw error
    }
  }

  private mutating func value(of node: Node) throws -> CapturedValue {
    switch node.kind {
    case .placeholder: return .reference(try input(node))
    case .getAttribute(let path): return .reference(try constant(path, node))
    case .output: return try captured(node.arguments.first ?? .none, usedBy: node)
    case .callFunction(let target):
      if target === GetItem.shared { return try element(node) }
      guard let target = target as? OperatorDefinition else {
        throw OperatorError(
          .notImplemented, target.name, "is no tensor operator; calls of nested graphs must be inlined first")
      }
      let arguments = try node.boundArguments().map { try captured($0, usedBy: node) }
      return try call(target, arguments, node)
    }
  }

  private func captured(_ argument: GraphArgument, usedBy node: Node) throws -> CapturedValue {
    try argument.map { id in
      guard let value = values[id] else {
        throw GraphError(.malformed, "uses '\(graph[id].name)' before it is defined", node: node.name)
      }
      return value
    }
  }

  private func element(_ node: Node) throws -> CapturedValue {
    guard node.arguments.count == 2, case .int(let index) = node.arguments[1],
      let elements = try captured(node.arguments[0], usedBy: node).elements, elements.indices.contains(index.value)
    else { throw GraphError(.malformed, "picks an element that is not there", node: node.name) }
    return elements[index.value]
  }

  // MARK: Inputs and constants

  private mutating func input(_ node: Node) throws -> CapturedTensor {
    let index = inputs.count
    guard let meta = node.metadata.tensor, capture.inputs.indices.contains(index) else {
      throw GraphError(.invalidArgument, "is an input that the capture says nothing about", node: node.name)
    }
    var facts = meta
    facts.requiresGrad = capture.inputs[index].requiresGrad
    facts.storageID = nil
    let value = try recorder.placeholder(node.name, facts, descriptor: node.metadata.descriptor ?? .input(index))
    let memory = Memory(origin: .input(index), eager: meta)
    if let storage = meta.storageID {
      if let other = memoryByStorage[storage], other.memory.eager.layout.elementRange.overlaps(meta.layout.elementRange)
      {
        memory.sharedWith = "inputs '\(other.name)' and '\(node.name)'"
        other.memory.sharedWith = other.memory.sharedWith ?? memory.sharedWith
      } else {
        memoryByStorage[storage] = (memory, node.name)
      }
    }
    let tensor = CapturedTensor(AliasView(base: value, memory: memory))
    inputs.append(tensor)
    inputViews.append(tensor.view)
    inputValues.append(value)
    return tensor
  }

  private mutating func constant(_ path: String, _ node: Node) throws -> CapturedTensor {
    if let known = constants[path] { return known }
    guard let tensor = capture.module.attribute(path) else {
      throw GraphError(.missingAttribute, "the module has no tensor '\(path)'", node: node.name)
    }
    var meta = TensorMeta(tensor)
    let memory = Memory(origin: .constant(path), eager: meta)
    if let other = constantByStorage[ObjectIdentifier(tensor.storage)] {
      memory.sharedWith = "constants '\(other.name)' and '\(path)'"
      other.memory.sharedWith = other.memory.sharedWith ?? memory.sharedWith
    } else {
      constantByStorage[ObjectIdentifier(tensor.storage)] = (memory, path)
    }
    meta.storageID = nil
    let value = try recorder.tracer.attribute(path, meta)
    constantValues.append(value)
    let constant = CapturedTensor(AliasView(base: value, memory: memory))
    constants[path] = constant
    return constant
  }

  // MARK: Calls

  private func call(_ target: OperatorDefinition, _ arguments: [CapturedValue], _ node: Node) throws -> CapturedValue {
    switch target.implementation {
    case .view where target === OperatorLibrary.withHistory: return .reference(try grafted(arguments))
    case .view: return try view(target, arguments)
    case .inPlace(let functional):
      guard let tensor = arguments[0].reference else {
        throw OperatorError(.argument, target.name, "argument 0 must be the tensor written to")
      }
      if target.mutatesLayoutOnly {
        try refuseLayoutChange(of: tensor, by: target, node)
        guard let changed = try view(functional, arguments, changesLayout: true).reference else {
          throw OperatorError(.notImplemented, target.name, "gives several layouts to one tensor")
        }
        tensor.view = changed.view
        tensor.view.recordLayoutChange()
        if target === OperatorLibrary.detach.inPlace { tensor.view.memory.isHistoryEnded = true }
      } else {
        try write(functional, arguments, to: tensor, node)
      }
      return .reference(tensor)
    case .mutating: return try mutate(target, arguments, node)
    case .setStorage: return .reference(try setStorage(target, arguments))
    case .host where target.isCustomFunction: return try customFunction(target, arguments)
    case .kernel, .host, .copy, .composite:
      guard !target.mutates else {
        throw OperatorError(
          .notImplemented, target.name, "writes to its arguments in a way that has no functional counterpart")
      }
      return try compute(target, arguments, node)
    }
  }

  /// The arguments as functional values, read as memory is now.
  private func read(_ arguments: [CapturedValue]) throws -> [Value] {
    try arguments.map { try $0.map { .reference(try replay.read($0.view)) } }
  }

  /// Calls a functional operator on the arguments as memory is now.
  func evaluate(_ target: OperatorDefinition, _ arguments: [CapturedValue]) throws -> Value {
    let arguments = try read(arguments)
    if case .copy = target.implementation { return try replay.copy(target, arguments) }
    if target.traits.contains(.random) { return try random.call(target, arguments) }
    return target.traits.contains(.effectful)
      ? try effects.call(target, arguments) : try target.evaluate(arguments)
  }

  private func compute(
    _ target: OperatorDefinition, _ arguments: [CapturedValue], _ node: Node
  ) throws -> CapturedValue {
    let result = try evaluate(target, arguments)
    let sources = arguments.flatMap(\.references)
    return try Self.zip(result, node.metadata.value) { tensor, meta in
      // Some calls give an argument itself where there is nothing to do.
      if let same = sources.first(where: { $0.view.value === tensor }) { return same }
      guard !sources.contains(where: { $0.view.value.storage === tensor.storage }) else {
        throw OperatorError(.notImplemented, target.name, "gives a view; it must be decomposed before")
      }
      let memory = Memory(origin: .intermediate, eager: meta ?? TensorMeta(tensor))
      return CapturedTensor(AliasView(base: tensor, memory: memory))
    }
  }

  /// A tensor over the memory of one with the gradient history of another.
  private func grafted(_ arguments: [CapturedValue]) throws -> CapturedTensor {
    guard let source = arguments[0].reference?.view, let history = arguments[1].reference?.view else {
      throw OperatorError(.argument, OperatorLibrary.withHistory.name, "takes two tensors")
    }
    let value = try recorder.grafted(replay.read(source), onto: replay.read(history))
    let step = ViewStep(target: OperatorLibrary.alias, arguments: [], isWithoutGrad: true)
    let view = AliasView(of: source, step: step, value: value, metadata: recorder.currentMetadata, cutsHistory: true)
    view.ownsHistory = true
    return CapturedTensor(view)
  }

  /// What a function with a gradient of its own gave: views of what its operators computed, with another history.
  private func customFunction(_ target: OperatorDefinition, _ arguments: [CapturedValue]) throws -> CapturedValue {
    let values = try target.evaluate(read(arguments)).references
    let metadata = recorder.currentMetadata
    return .list(
      Swift.zip(arguments[0].references, values).map { output, value in
        let step = ViewStep(target: OperatorLibrary.alias, arguments: [], isWithoutGrad: true)
        let view = AliasView(of: output.view, step: step, value: value, metadata: metadata, cutsHistory: true)
        view.ownsHistory = true
        view.special = .customFunction
        return .reference(CapturedTensor(view))
      })
  }

  /// Tensors of a result with the metadata that the capture knows of each.
  private static func zip(
    _ value: Value, _ meta: MetaValue?, _ body: (Tensor, TensorMeta?) throws -> CapturedTensor
  ) throws -> CapturedValue {
    if let tensor = value.reference { return .reference(try body(tensor, meta?.reference)) }
    guard let elements = value.elements else { return .none }
    let metas = meta?.elements
    return .tuple(
      try elements.enumerated().map { index, element in
        try zip(element, metas.flatMap { $0.indices.contains(index) ? $0[index] : nil }, body)
      })
  }
}
