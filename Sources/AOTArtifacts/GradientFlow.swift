import GraphIR
import Operators
import TensorCore

/// Which values of a functional graph would require a gradient, as eager autograd decides it: floating-point results of calls
/// that were made with grad mode on, through a derivative, of something that requires one.
public struct GradientFlow {
  private var requiring: Set<NodeID> = []

  /// - Parameter requiresGrad: Per placeholder, whether a gradient is wanted for it.
  public init(_ graph: Graph, placeholders requiresGrad: [Bool]) {
    var inputs = requiresGrad.makeIterator()
    for id in graph.nodes {
      let node = graph[id]
      switch node.kind {
      case .placeholder:
        if inputs.next() == true, Self.mayRequireGrad(node.metadata.value) { requiring.insert(id) }
      case .callFunction(let target):
        if Self.mayRequireGrad(node.metadata.value), passesGradient(node, target) { requiring.insert(id) }
      case .getAttribute, .output: break
      }
    }
  }

  public func requiresGrad(_ id: NodeID) -> Bool { requiring.contains(id) }

  /// The arguments' positions, in the schema's order, that a gradient flows through; arguments are those of a bound call.
  public func differentiablePositions(_ target: OperatorDefinition, _ arguments: [GraphArgument]) -> Set<Int> {
    let reached = arguments.indices.filter { arguments[$0].references.contains(where: requiring.contains) }
    // Without any formula, the derivative is missing: whoever asks for it is to hear of that.
    guard let derivative = target.derivative else { return Set(reached) }
    return Set(reached).intersection(derivative.flatMap(\.parameters))
  }

  private func passesGradient(_ node: Node, _ target: any Operator) -> Bool {
    if target === GetItem.shared { return node.arguments.first?.reference.map(requiring.contains) ?? false }
    guard node.metadata.gradMode != false, let definition = target as? OperatorDefinition, !definition.mutates,
      let arguments = try? node.boundArguments()
    else { return false }
    return !differentiablePositions(definition, arguments).isEmpty
  }

  private static func mayRequireGrad(_ value: MetaValue?) -> Bool {
    guard let value else { return true }
    return value.references.contains { $0.dtype.isFloatingPoint }
  }
}
