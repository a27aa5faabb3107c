import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Rewrites a captured function to take bases in the place of inputs that are views of them.
struct SyntheticBaseRewriting {
  private typealias Base = AOTGraphCapture.BaseFacts

  let original: AOTGraphCapture
  private let placeholders: [NodeID]
  var graph: Graph
  var baseNodes: [NodeID] = []
  private var bases: [SyntheticBase.Base] = []
  private var facts: [AOTGraphCapture.InputFacts] = []
  /// What stands in the graph for an input that was replaced.
  var replacements: [Int: NodeID] = [:]
  /// The inputs among them whose base in the graph is the storage, without a history.
  var storageMembers: Set<Int> = []
  /// The node after which the next view of a base goes.
  private var lastView: NodeID?

  init(_ capture: AOTGraphCapture) {
    original = capture
    graph = capture.module.graph
    placeholders = graph.placeholders
    lastView = placeholders.last
  }

  // MARK: Bases

  mutating func replace(_ group: AliasGroup) throws {
    var members: [(input: Int, base: Base)] = []
    for input in group.inputs {
      guard let base = original.inputs[input].base else {
        throw OperatorError(
          .notImplemented, nil,
          "input \(input) shares memory, which the function writes to, and is a view of what is no view any more; clone it"
        )
      }
      try refuse(input, base)
      members.append((input, base))
    }
    let numbers = Set(members.map(\.base.number))
    if numbers.count == 1 {
      let root = addBase(.autogradBase(of: members[0].input), members[0].base, over: members.map(\.input))
      for member in members { try replace(member.input, by: member.base.views, of: root) }
    } else {
      try replaceByStorage(members, numbers.sorted())
    }
  }

  /// Refuses what is done to an input that the graph does not get, and what autograd knows of a view but not of its base.
  private func refuse(_ input: Int, _ base: Base) throws {
    let known = original.inputs[input]
    guard known.viewGradient != .unsettled else {
      throw OperatorError(
        .notImplemented, nil,
        "inputs share memory, which the function writes to, and one is a view whose base came to require a gradient later; take the "
          + "view once gradients are asked for, or clone it")
    }
    if !base.views.isEmpty, known.requiresGrad, known.isLeaf || !base.requiresGrad {
      throw OperatorError(
        .notImplemented, nil,
        "inputs share memory, which the function writes to, and one is a view of a leaf that is a view itself; clone one of them"
      )
    }
    for user in graph.users(of: placeholders[input]) {
      guard let target = graph[user].target, graph[user].arguments.first?.reference == placeholders[input] else {
        continue
      }
      if target === OperatorLibrary.setSource || target === OperatorLibrary.detach.inPlace {
        throw OperatorError(
          .notImplemented, target.name,
          "is called on an input that shares memory, which the function writes to, with another one; clone one of them",
          source: graph[user].metadata.source)
      }
    }
  }

  /// Several bases that autograd does not connect, over one storage: elements are those of the storage, histories those of
  /// the bases.
  private mutating func replaceByStorage(_ members: [(input: Int, base: Base)], _ numbers: [Int]) throws {
    guard members.allSatisfy({ $0.base.subclass == nil }) else {
      throw OperatorError(
        .notImplemented, nil,
        "inputs of a wrapper subclass share memory, which the function writes to, though autograd does not know them as views of "
          + "one tensor; pass views of one, or clone one of them")
    }
    guard !members.contains(where: { original.inputs[$0.input].viewGradient == .conditional }) else {
      throw OperatorError(
        .notImplemented, nil,
        "inputs share memory, which the function writes to, and one is a view that gradients do not follow after writes; clone one of "
          + "them")
    }
    let metas = members.map(\.base.meta) + members.compactMap { graph[metadata: placeholders[$0.input]].tensor }
    guard let dtype = metas.first?.dtype, metas.allSatisfy({ $0.dtype == dtype }) else {
      throw OperatorError(
        .notImplemented, nil,
        "inputs share memory, which the function writes to, as elements of several types; clone one of them")
    }
    let count = metas.map(\.layout.elementRange.upperBound).max() ?? 0
    let whole = Base(
      number: -1, meta: TensorMeta(dtype: dtype, sizes: [SymInt(count)]), requiresGrad: false, isLeaf: true,
      requiresGradAfter: false, failureAfter: nil, views: [])
    let root = addBase(
      .storage(of: members[0].input, elementCount: count), whole, over: members.map(\.input), isWritten: true)
    for number in numbers {
      let own = members.filter { $0.base.number == number }
      let base = own[0].base
      let place = ViewStep(
        target: OperatorLibrary.asStrided,
        arguments: [
          .integers(base.meta.layout.sizes), .integers(base.meta.layout.strides), .int(base.meta.layout.offset),
        ],
        isWithoutGrad: true)
      var view = try add([place], of: root)
      if base.requiresGrad || base.requiresGradAfter {
        let history = addBase(.autogradBase(of: own[0].input), base, over: own.map(\.input))
        view = graft(history, onto: view)
        if isWritten(own.map(\.input)) { try copy(view, of: own.map(\.input), into: history) }
      }
      for member in own { try replace(member.input, by: member.base.views, of: view) }
      storageMembers.formUnion(own.map(\.input))
    }
  }

  private mutating func addBase(
    _ base: SyntheticBase.Base, _ known: Base, over inputs: [Int], isWritten: Bool = false
  ) -> NodeID {
    var meta = known.meta
    meta.requiresGrad = known.requiresGrad
    let descriptors = inputs.map { graph[metadata: placeholders[$0]].descriptor ?? .input($0) }
    let point: Graph.InsertionPoint =
      baseNodes.last.map { .after($0) } ?? placeholders.first.map { .before($0) } ?? .end
    let node = graph.inserting(point) {
      $0.placeholder(
        "base\(bases.count)",
        metadata: NodeMetadata(value: .reference(meta), descriptor: .syntheticBase(of: descriptors)))
    }
    baseNodes.append(node)
    bases.append(base)
    facts.append(
      .init(
        requiresGrad: known.requiresGrad, isLeaf: known.isLeaf, requiresGradAfter: known.requiresGradAfter,
        failureAfter: known.failureAfter, subclass: known.subclass,
        sharesInnerMemory: inputs.contains { original.inputs[$0].sharesInnerMemory }))
    return node
  }

  /// Whether the function writes, where autograd looks, to these inputs or to views of them that it connects with them.
  private func isWritten(_ inputs: [Int]) -> Bool {
    let captured = original.module.graph
    var connected = Set(inputs.map { placeholders[$0] })
    for id in captured.nodes {
      let node = captured[id]
      guard let target = node.target, let source = node.arguments.first?.reference, connected.contains(source) else {
        continue
      }
      let isTracked = node.metadata.gradMode ?? original.signature.isGradEnabled
      if captured.writesElements(id), isTracked { return true }
      let cutsHistory = !isTracked || (target as? OperatorDefinition)?.derivative?.isEmpty == true
      if target === GetItem.shared || (target.schema.isView && !cutsHistory) { connected.insert(id) }
    }
    return false
  }

  // MARK: Nodes

  private mutating func add(
    _ target: any Operator, _ arguments: [GraphArgument], _ metadata: NodeMetadata
  ) -> NodeID {
    let (positional, keywords) = target.schema.shortestCall(arguments)
    let node = graph.inserting(lastView.map { .after($0) } ?? .end) {
      $0.call(target, positional, keywords.map { KeywordArgument($0.name, $0.value) }, metadata: metadata)
    }
    lastView = node
    return node
  }

  /// Adds views of a node's value, each of the one before.
  private mutating func add(_ steps: [ViewStep], of source: NodeID) throws -> NodeID {
    guard let meta = graph[metadata: source].tensor else {
      throw GraphError(.invalidArgument, "nothing is known of its value", node: graph[source].name)
    }
    var (node, tensor) = (source, try Tensor(fake: meta))
    for step in steps { (node, tensor) = try add(step, of: node, tensor) }
    return node
  }

  private mutating func add(_ step: ViewStep, of source: NodeID, _ tensor: Tensor) throws -> (NodeID, Tensor) {
    let target = step.target
    let value = try DispatchContext.current.withMode(nil) {
      try target.call([.reference(tensor)] + step.arguments.map { $0.widened() })
    }
    var metadata = NodeMetadata(
      value: value.map { .reference(TensorMeta($0)) }, gradMode: step.isWithoutGrad ? false : nil)
    let node = add(target, [.reference(source)] + step.arguments.map { $0.widened(to: NodeID.self) }, metadata)
    if let view = value.reference { return (node, view) }
    guard let views = value.elements, views.indices.contains(step.resultIndex),
      let view = views[step.resultIndex].reference
    else { throw OperatorError(.index, target.name, "gives no result \(step.resultIndex)") }
    metadata.value = .reference(TensorMeta(view))
    let item = graph.inserting(.after(node)) { $0.getItem(node, step.resultIndex, metadata: metadata) }
    lastView = item
    return (item, view)
  }

  private mutating func graft(_ history: NodeID, onto view: NodeID) -> NodeID {
    add(
      OperatorLibrary.withHistory, [.reference(view), .reference(history)],
      NodeMetadata(value: graph[metadata: view].value))
  }

  /// Adds the write of a view's elements to the base that has its history, where the function ends.
  ///
  /// - Parameter inputs: The views of the base; what is written is what the base has, in its own layout.
  private mutating func copy(_ view: NodeID, of inputs: [Int], into base: NodeID) throws {
    if let change = inputs.flatMap({ graph.users(of: placeholders[$0]) }).first(where: { graph[$0].changesLayoutOnly })
    {
      throw OperatorError(
        .notImplemented, graph[change].target?.name,
        "changes the layout of an input that shares memory, which the function writes to, with another one; clone one of them",
        source: graph[change].metadata.source)
    }
    graph.inserting(graph.output.map { .before($0) } ?? .end) {
      _ = $0.call(
        OperatorLibrary.overwrite.inPlace, [.reference(base), .reference(view)],
        metadata: NodeMetadata(value: $0[metadata: base].value))
    }
  }

  private mutating func replace(_ input: Int, by views: [ViewStep], of base: NodeID) throws {
    let placeholder = placeholders[input]
    let node = try add(viewsInUse(views, of: base, giving: graph[metadata: placeholder].tensor), of: base)
    replacements[input] = node
    graph.replaceAllUses(of: placeholder, with: node)
  }

  /// The views that lead from a base to an input, or one of its place where the input or its base was given another layout since it
  /// was made.
  private func viewsInUse(_ views: [ViewStep], of base: NodeID, giving wanted: TensorMeta?) throws -> [ViewStep] {
    guard let wanted, let meta = graph[metadata: base].tensor else { return views }
    let source = try Tensor(fake: meta)
    let view = try? DispatchContext.current.withMode(nil) { try views.applied(to: source) }
    if let view, view.sizes == wanted.sizes, view.strides == wanted.layout.strides { return views }
    let layout = wanted.layout
    guard wanted.dtype == meta.dtype, layout.elementRange.upperBound <= meta.layout.elementRange.upperBound else {
      throw OperatorError(
        .notImplemented, views.last?.target.name, "made an argument of a tensor that has another layout since; clone it"
      )
    }
    let place: [Constant] = [.integers(layout.sizes), .integers(layout.strides), .int(layout.offset)]
    return [ViewStep(target: OperatorLibrary.asStrided, arguments: place)]
  }

  // MARK: The result

  consuming func finish() throws -> (AOTGraphCapture, SyntheticBase?) {
    var capture = original
    let layoutChanges = replacements.sorted { $0.key < $1.key }.compactMap { layoutChange(of: $0.key, $0.value) }
    let outputs = try takeOutputs(from: &capture, changing: Set(layoutChanges.map(\.input)))
    let others = placeholders.indices.filter { replacements[$0] == nil }
    for input in replacements.keys { try graph.erase(placeholders[input]) }
    capture.module.graph = graph
    capture.inputs = facts + others.map { original.inputs[$0] }
    return (
      capture,
      SyntheticBase(bases: bases, otherInputs: others, layoutChanges: layoutChanges, outputs: outputs)
    )
  }

  /// Whether a call such as `t_` gives a node's value another layout.
  func changesLayout(of node: NodeID) -> Bool {
    graph.users(of: node).contains { graph.changesLayout(of: node, byCall: $0) }
  }

  /// What the function did to the layout of an input; of a base itself, the graph knows.
  private func layoutChange(of input: Int, _ node: NodeID) -> LayoutChange? {
    if baseNodes.contains(node) { return nil }
    let steps = graph.users(of: node).compactMap { user -> ViewStep? in
      guard let target = graph[user].target as? OperatorDefinition, target.mutatesLayoutOnly,
        graph[user].arguments.first?.reference == node, case .inPlace(let view) = target.implementation,
        let arguments = try? graph[user].boundArguments()
      else { return nil }
      return ViewStep(
        target: view, arguments: arguments.dropFirst().map { $0.map { _ in .none } },
        isWithoutGrad: graph[user].metadata.gradMode == false)
    }
    if steps.isEmpty { return nil }
    let known = original.inputs[input]
    return LayoutChange(
      input: input, isHidden: known.isLeaf && known.requiresGrad, isUsedBefore: graph.isUsedBeforeLayoutChange(node),
      steps: steps)
  }
}

extension Argument {
  fileprivate static func integers(_ values: [SymInt]) -> Argument { .list(values.map { .int($0) }) }
}
