import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

// What a function returns of inputs that the graph does not get.
extension SyntheticBaseRewriting {
  /// Takes out of the function's results what is an input that it does not get any more, or a view that is to have the history
  /// of one.
  ///
  /// - Parameter changed: Inputs whose layout changes.
  mutating func takeOutputs(
    from capture: inout AOTGraphCapture, changing changed: Set<Int>
  ) throws -> [SyntheticBase.Output] {
    guard let output = graph.output, var results = graph.result.elements else { return [] }
    var outputs: [NodeID: SyntheticBase.Output] = [:]
    for (index, result) in results.enumerated() {
      guard let node = result.reference, !baseNodes.contains(node) else { continue }
      let requiresGrad = capture.outputs.indices.contains(index) && capture.outputs[index].requiresGrad
      guard let (input, views, first) = viewOfInput(node) else {
        if requiresGrad && isViewOfStorageMember(node) { throw unfollowed(node) }
        continue
      }
      let isMember = storageMembers.contains(input)
      let isOutdated = isMember && !views.isEmpty && changed.contains(input) && isWrittenAfter(first)
      let isConditional = !views.isEmpty && original.inputs[input].viewGradient == .conditional
      // A change of layout that comes after the view is made counts as a write.
      let isLost = !changed.isEmpty && views.contains(where: \.givesSeveralViews)
      if isConditional || isOutdated || isLost { throw unfollowed(node) }
      guard views.isEmpty || isMember else { continue }
      let isMadeBeforeWrites = !views.isEmpty && isWrittenAfter(node)
      outputs[node, default: .init(positions: [], input: input, views: views, isMadeBeforeWrites: isMadeBeforeWrites)]
        .positions.append(index)
      results[index] = .none
      if capture.outputs.indices.contains(index) { capture.outputs[index] = .init(requiresGrad: false) }
    }
    graph.setArguments(of: output, [.tuple(results)])
    return outputs.values.sorted { $0.positions[0] < $1.positions[0] }
  }

  /// What is said of views that autograd treats otherwise than views of what the graph gets.
  private func unfollowed(_ view: NodeID) -> OperatorError {
    OperatorError(
      .notImplemented, graph[view].target?.name,
      "gives a view of an input that shares memory, which the function writes to, with another one, and which gradients do not follow "
        + "after writes; clone one of them", source: graph[view].metadata.source)
  }

  /// Whether a node's value is a view, maybe in another layout since, of an input whose base in the graph is the storage.
  private func isViewOfStorageMember(_ node: NodeID) -> Bool {
    var node = node
    while let target = graph[node].target, let source = graph[node].arguments.first?.reference {
      let isView = target.schema.isView && (target as? OperatorDefinition)?.derivative?.isEmpty != true
      guard target === GetItem.shared || isView && target !== OperatorLibrary.withHistory else { return false }
      if replacements.contains(where: { $0.value == source && storageMembers.contains($0.key) }) { return true }
      node = source
    }
    return false
  }

  /// Whether the memory of a node's value counts as written to after it was made.
  private func isWrittenAfter(_ view: NodeID) -> Bool {
    let storage = graph[metadata: view].tensor?.storageID
    return graph.nodes.reversed().prefix { $0 != view }.contains { id in
      graph[id].target?.schema.isMutating == true && graph[metadata: id].tensor?.storageID == storage
    }
  }

  /// The input that a node's value is a view of, the views that lead from it, and the node of the first one; nil where there is
  /// none, or where they cut off its history.
  private func viewOfInput(_ node: NodeID) -> (input: Int, views: [ViewStep], first: NodeID)? {
    var views: [ViewStep] = []
    var (node, first) = (node, node)
    while true {
      if let input = replacements.first(where: { $0.value == node })?.key { return (input, views.reversed(), first) }
      let call = graph.getItemIndex(of: node).flatMap { _ in graph[node].arguments.first?.reference } ?? node
      guard let target = graph[call].target as? OperatorDefinition, target.schema.isView, !changesLayout(of: node),
        target.derivative?.isEmpty != true, target !== OperatorLibrary.withHistory,
        let arguments = try? graph[call].boundArguments(), let source = arguments.first?.reference
      else { return nil }
      views.append(
        ViewStep(
          target: target, arguments: arguments.dropFirst().map { $0.map { _ in .none } },
          resultIndex: graph.getItemIndex(of: node) ?? 0, isWithoutGrad: graph[call].metadata.gradMode == false))
      (node, first) = (source, node)
    }
  }
}
