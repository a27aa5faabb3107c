import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// Reverse-mode differentiation of a recorded graph: appends the backward pass to it.
struct ReverseSweep {
  let tracer: GraphTracer
  let flow: GradientFlow
  /// Gradients that have arrived at each node, not yet summed.
  private var arrived: [NodeID: [Tensor]] = [:]
  /// Gradients of the elements of lists and tuples, summed.
  private var elementGradients: [NodeID: [Int: [Tensor]]] = [:]
  /// What derivatives refused, with the user's source location: a call that has none, an argument that its formula is not for.
  private(set) var failures: [NodeID: OperatorError] = [:]
  /// What new nodes get.
  private let annotation = Annotation()

  private final class Annotation {
    var metadata = NodeMetadata()
  }

  init(_ tracer: GraphTracer, flow: GradientFlow) {
    self.tracer = tracer
    self.flow = flow
    tracer.annotate = { [annotation] _ in annotation.metadata }
  }

  /// Starts a gradient at a node.
  mutating func seed(_ node: NodeID, with gradient: Tensor) { arrived[node, default: []].append(gradient) }

  /// Carries gradients from the seeds back through the nodes. Those that arrive at a call whose derivative refuses them end
  /// there: `failures` tells.
  ///
  /// - Parameter nodes: The forward nodes, in execution order.
  /// - Throws: `OperatorError` with the user's source location where a derivative cannot be traced though eager autograd might
  ///   take it.
  mutating func run(_ nodes: [NodeID]) throws {
    for id in nodes.reversed() {
      let node = tracer.graph[id]
      guard let target = node.target, flow.requiresGrad(id) else { continue }
      annotation.metadata = Self.backwardMetadata(of: node)
      do {
        if let index = tracer.graph.getItemIndex(of: id), let sequence = node.arguments[0].reference {
          guard let gradient = try gradient(at: id) else { continue }
          elementGradients[sequence, default: [:]][index, default: []].append(gradient)
        } else if let definition = target as? OperatorDefinition {
          try differentiate(id, node, definition)
        }
      } catch var error as OperatorError {
        error.source = node.metadata.source ?? error.source
        guard error.isThrownEagerly else { throw error }
        failures[id] = error
      }
    }
  }

  /// Why the gradient of each node cannot be followed: something that it was computed from, through calls that pass gradients
  /// on, failed.
  ///
  /// - Parameter nodes: The forward nodes, in execution order.
  func failuresBehind(_ nodes: [NodeID]) -> [NodeID: OperatorError] {
    if failures.isEmpty { return [:] }
    var all = failures
    for id in nodes where flow.requiresGrad(id) && all[id] == nil {
      all[id] = differentiableArguments(of: tracer.graph[id]).compactMap { all[$0] }.first
    }
    return all
  }

  /// The nodes that a node passes its gradient on to.
  private func differentiableArguments(of node: Node) -> [NodeID] {
    guard let target = node.target as? OperatorDefinition, let bound = try? node.boundArguments() else {
      return node.arguments.flatMap(\.references)
    }
    return flow.differentiablePositions(target, bound).sorted().flatMap { bound[$0].references }
  }

  /// The gradient that has arrived at a node, summed over the node's uses; nil where none has.
  mutating func gradient(at id: NodeID) throws -> Tensor? {
    guard let gradients = arrived.removeValue(forKey: id), let first = gradients.first else { return nil }
    annotation.metadata = Self.backwardMetadata(of: tracer.graph[id])
    return try gradients.dropFirst().reduce(first) { try $0 + $1 }
  }

  /// Ends the backward pass with the writes to inputs that formulas made. Writes to anything else nobody can see.
  func copyIntoPrimals(_ written: [(tensor: Tensor, value: Tensor)], _ primals: [NodeID]) throws {
    annotation.metadata = NodeMetadata(isBackward: true)
    for (tensor, value) in written {
      if let node = tracer.node(of: tensor), primals.contains(node) { _ = try tensor.copy_(value) }
    }
  }

  private static func backwardMetadata(of node: Node) -> NodeMetadata {
    var metadata = NodeMetadata(source: node.metadata.source, forwardNode: node.name, isBackward: true)
    // What a derivative computes from values that are not to be kept is not to be kept in their place.
    if node.metadata.recompute == .mustRecompute || node.metadata.recompute == .preferRecompute {
      metadata.recompute = node.metadata.recompute
      metadata.recomputeRegion = node.metadata.recomputeRegion
    }
    return metadata
  }

  private mutating func differentiate(_ id: NodeID, _ node: Node, _ target: OperatorDefinition) throws {
    let results: [Tensor]
    let gradients: [Tensor?]
    switch tracer.value(of: id) {
    case .reference(let result):
      results = [result]
      gradients = [try gradient(at: id)]
    case .list(let elements), .tuple(let elements):
      let perElement = elementGradients.removeValue(forKey: id) ?? [:]
      // What a call does not give keeps its place.
      results = try elements.map { try $0.reference ?? Tensor(fake: TensorMeta(dtype: .float32, sizes: [0])) }
      gradients = try elements.indices.map { index in
        try perElement[index].flatMap { try $0.dropFirst().reduce($0[0]) { try $0 + $1 } }
      }
    default: return
    }
    guard gradients.contains(where: { $0 != nil }) else { return }
    let bound = try node.boundArguments()
    let needed = flow.differentiablePositions(target, bound)
    let arguments = try bound.map { argument in
      try argument.map { (input: NodeID) throws -> Value in
        guard let value = tracer.value(of: input) else {
          throw GraphError(
            .invalidArgument, "uses '\(tracer.graph[input].name)', of whose value nothing is known", node: node.name,
            source: node.metadata.source)
        }
        return value
      }
    }
    let context = DerivativeContext(
      call: OperatorCall(target, arguments), results: results, gradients: gradients, needed: needed)
    for (position, gradient) in try target.gradients(context).sorted(by: { $0.key < $1.key }) {
      distribute(gradient, to: bound[position])
    }
  }

  /// Hands the gradient of an argument to the nodes that the argument consists of.
  private mutating func distribute(_ gradient: Value, to argument: GraphArgument) {
    switch (gradient, argument) {
    case (.reference(let gradient), .reference(let node)):
      if flow.requiresGrad(node) { arrived[node, default: []].append(gradient) }
    case (.list(let gradients), .list(let arguments)):
      for (gradient, argument) in zip(gradients, arguments) { distribute(gradient, to: argument) }
    default: break
    }
  }
}

extension OperatorError {
  /// Whether it says what is wrong with a gradient, rather than what cannot be traced.
  fileprivate var isThrownEagerly: Bool { code != .notImplemented && code != .dataDependent }
}
