import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// The places where a program's course depends on elements: a size that is read from a tensor, indices of what is not zero, a
/// branch.
///
/// A captured function has no elements. Before such a call the values at these places are found, by running what leads to them;
/// the function is compiled for those.
struct Decisions {
  /// The nodes, in order: none where there are no such places, or where finding out would do what the program does itself.
  let nodes: [NodeID]
  private let branches: Set<NodeID>
  /// Gives what decides at each of them, and contains nothing else.
  private let finder: Interpreter?

  init(_ module: GraphModule) {
    let graph = module.graph
    let found = graph.nodes.filter { Self.kind(of: $0, in: graph) != nil }
    // What is wanted of a branch is its predicate, of a loop how often it runs, of anything else what it gives.
    var needed = Set(
      found.flatMap { id in
        switch Self.kind(of: id, in: graph) {
        case .branch: graph[id].arguments[0].references
        case .loop: graph.inputs(of: id)
        case .mask: Self.masks(of: id, in: graph)
        case .value, nil: [id]
        }
      })
    var open = Array(needed)
    while let id = open.popLast() {
      for input in graph.inputs(of: id) where needed.insert(input).inserted { open.append(input) }
    }
    let loops = found.filter { Self.kind(of: $0, in: graph) == .loop }
    // What is written, printed or drawn on the way happens once, when the program itself runs.
    let before = graph.nodes.prefix { $0 != found.last }
    let isRepeatable =
      before.allSatisfy { !Self.contains($0, of: module, where: Self.writes) }
      && needed.union(loops).allSatisfy { !Self.contains($0, of: module) { Self.writes($0) || !$0.isPure } }
    guard isRepeatable, !found.isEmpty else {
      (nodes, branches, finder) = ([], [], nil)
      return
    }
    nodes = found
    branches = Set(found.filter { Self.kind(of: $0, in: graph) == .branch })
    var part = module
    let nonzero = OperatorLibrary.nonzero
    let deciding = found.map { id -> GraphArgument in
      switch Self.kind(of: id, in: graph) {
      case .branch: graph[id].arguments[0]
      case .loop:
        .reference(
          part.graph.inserting(.before(id)) { $0.call(HigherOrderOperator.iterationCount, graph[id].arguments) })
      case .mask:
        .list(
          Self.masks(of: id, in: graph).map { mask in
            .reference(part.graph.inserting(.after(mask)) { $0.call(nonzero, [.reference(mask)]) })
          })
      case .value, nil: .reference(id)
      }
    }
    part.graph.setOutput(.tuple(deciding))
    for id in graph.nodes.reversed() where !needed.contains(id) && !graph[id].isPlaceholder && !graph[id].isOutput {
      // Only what is not needed either uses it, and is gone by now.
      try? part.graph.erase(id)
    }
    finder = Interpreter(part)
  }

  /// What is decided at a node: which graph runs, how often one does, where a mask holds that picks elements, or the value.
  enum Kind { case branch, loop, mask, value }

  static func kind(of id: NodeID, in graph: Graph) -> Kind? {
    let node = graph[id]
    if node.target is HigherOrderOperator {
      return switch node.target?.name.base {
      case "cond": .branch
      case "while_loop": .loop
      default: nil
      }
    }
    if !masks(of: id, in: graph).isEmpty { return .mask }
    guard let target = node.target as? OperatorDefinition, target.traits.contains(.dataDependent) else { return nil }
    // A result that gradients flow from has to come from the captured program itself: only numbers, and places of what is not
    // zero, may come from before.
    let givesTensors = target.schema.returns.contains { $0.type == .tensor || $0.type == .list(.tensor, count: nil) }
    let givesPlaces = target.derivative?.isEmpty == true || ["argwhere", "where"].contains(target.name.base)
    return !givesTensors || givesPlaces ? .value : nil
  }

  /// The masks among the indices of a call, as far as the program says what they are.
  private static func masks(of id: NodeID, in graph: Graph) -> [NodeID] {
    guard let name = graph[id].target?.name, name.namespace == "aten", graph[id].arguments.count >= 2,
      ["index", "index_put", "index_put_"].contains(name.base)
    else { return [] }
    return graph[id].arguments[1].references.filter { graph[$0].metadata.tensor?.dtype == .bool }
  }

  /// Whether a node calls an operator such as that, itself or in a graph that it calls.
  private static func contains(
    _ id: NodeID, of module: GraphModule, where isSuch: (any Operator) -> Bool
  ) -> Bool {
    guard let target = module.graph[id].target else { return false }
    guard target.traits.contains(.callsGraphs) else { return isSuch(target) }
    return module.graph.inputs(of: id).contains { input in
      guard case .getAttribute(let path) = module.graph[input].kind, let nested = module.module(path) else {
        return false
      }
      return nested.graph.nodes.contains { contains($0, of: nested, where: isSuch) }
    }
  }

  /// Whether an operator writes to an argument, also where its schema does not say so.
  private static func writes(_ target: any Operator) -> Bool {
    // `detach_` changes what autograd knows, and no element.
    (target.schema.isMutating && target.name.base != "detach_")
      || ["batch_norm", "instance_norm", "native_batch_norm"].contains(target.name.base)
  }

  /// The values at these places, for a call with those inputs; of a branch, whether it is taken.
  func find(_ inputs: [Value]) throws -> [Value] {
    guard let finder else { return [] }
    let values = try noGrad { try finder.run(inputs).elements ?? [] }
    return try zip(nodes, values).map { id, value in
      guard branches.contains(id), let tensor = value.reference else { return value }
      return .bool(try tensor.item().doubleValue != 0)
    }
  }
}
