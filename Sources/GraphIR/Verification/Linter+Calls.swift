import TensorCore

extension Linter {
  /// Whether a call's arguments are those of its schema, judged by what the nodes among them are known to give.
  mutating func checkCall(_ id: NodeID) {
    let node = graph[id]
    guard let target = node.target else { return }
    do {
      let bound = try node.boundArguments()
      if let known = knownValues(of: bound) { try target.schema.requireTypes(of: known) }
    } catch {
      report(error.message, id, code: error.code)
      return
    }
    if target === GetItem.shared { checkGetItem(id) }
  }

  /// The arguments as metadata; nil if the metadata of a node among them is not known.
  private func knownValues(of bound: [GraphArgument]) -> [MetaValue]? {
    var isKnown = true
    let known = bound.map { argument in
      argument.map { (input: NodeID) -> MetaValue in
        guard graph.contains(input), let value = graph[input].metadata.value else {
          isKnown = false
          return .none
        }
        return value
      }
    }
    return isKnown ? known : nil
  }

  private mutating func checkGetItem(_ id: NodeID) {
    let node = graph[id]
    guard let sequence = node.arguments.first?.reference, graph.contains(sequence),
      case .int(let index) = node.arguments.last,
      let value = graph[sequence].metadata.value
    else { return }
    guard let elements = value.elements else {
      return report("picks an element of '\(graph[sequence].name)', which gives \(value)", id)
    }
    guard elements.indices.contains(index.value) else {
      return report("picks element \(index) of the \(elements.count) that '\(graph[sequence].name)' gives", id)
    }
    if let recorded = node.metadata.value, recorded != elements[index.value] {
      report("is recorded as \(recorded), the element it picks as \(elements[index.value])", id)
    }
  }

  // MARK: Metadata

  /// Whether the recorded value could be one, and one that the schema returns.
  mutating func checkMetadata(of id: NodeID) {
    guard let value = graph[id].metadata.value else { return }
    value.forEachReference { tensor in
      if tensor.layout.requiredByteCount(itemBytes: tensor.dtype.byteCount) == nil {
        report("is recorded as \(tensor), which no memory could hold", id)
      }
    }
    guard let returns = graph[id].target?.schema.returns else { return }
    let fits =
      switch returns.count {
      case 0: value.isNone || value.elements?.isEmpty == true
      case 1: returns[0].type.accepting(value) == value
      default: value.elements.map { $0.count == returns.count && zip(returns, $0).allSatisfy(Self.fits) } ?? false
      }
    if !fits {
      let types = returns.map(\.description).joined(separator: ", ")
      report("is recorded as \(value), its operator returns (\(types))", id)
    }
  }

  private static func fits(_ returned: OperatorSchema.Return, _ value: MetaValue) -> Bool {
    // A result that was not asked for, such as a gradient masked out, is none.
    value.isNone || returned.type.accepting(value) == value
  }
}

extension GraphModule {
  /// What nodes are recorded to give against what their operators give for such inputs.
  func contradictedMetadata() -> [GraphError] {
    guard graph.placeholders.allSatisfy({ graph[$0].metadata.value != nil }) else { return [] }
    var propagated = self
    do {
      try FakePropagation().run(on: &propagated)
    } catch {
      let failure = error as? ExecutionError
      return [GraphError(.execution, "\(failure?.underlying ?? error)", node: failure?.node, source: failure?.source)]
    }
    var problems: [GraphError] = []
    for id in graph.nodes {
      guard let recorded = graph[id].metadata.value, let computed = propagated.graph[id].metadata.value else {
        continue
      }
      if recorded.geometry != computed.geometry {
        problems.append(
          GraphError(
            .malformed, "is recorded as \(recorded.geometry), its operator gives \(computed.geometry)",
            node: graph[id].name, source: graph[id].metadata.source))
      }
    }
    return problems
  }
}

extension Argument where Reference == TensorMeta {
  /// The value with what a shape rule does not decide left out: autograd state and the numbers of storages.
  fileprivate var geometry: MetaValue {
    map { (tensor: TensorMeta) -> MetaValue in
      .reference(TensorMeta(dtype: tensor.dtype, layout: tensor.layout, device: tensor.device))
    }
  }
}
