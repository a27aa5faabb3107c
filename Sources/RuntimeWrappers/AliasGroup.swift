import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// Inputs that share memory which the function writes to.
struct AliasGroup {
  /// By position, ascending.
  let inputs: [Int]

  /// The groups of a function, by their first inputs.
  static func groups(of capture: AOTGraphCapture) -> [AliasGroup] {
    let graph = capture.module.graph
    let placeholders = graph.placeholders
    var byStorage: [Int: [Int]] = [:]
    for (index, id) in placeholders.enumerated() {
      if let storage = graph[metadata: id].tensor?.storageID { byStorage[storage, default: []].append(index) }
    }
    let shared = byStorage.values.filter { $0.count > 1 }
    if shared.isEmpty { return [] }
    let aliases = AliasAnalysis(graph)
    var written: Set<AliasAnalysis.Memory> = []
    for id in graph.nodes where graph.writesElements(id) { written.formUnion(aliases.memoryWritten(by: id)) }
    return shared.filter { written.contains(aliases.memory(of: placeholders[$0[0]])) }
      .flatMap { groups(of: $0, capture) }.sorted { $0.inputs[0] < $1.inputs[0] }
  }

  /// Where no gradients are at stake, inputs that reach into other parts of the storage are left apart.
  private static func groups(of inputs: [Int], _ capture: AOTGraphCapture) -> [AliasGroup] {
    let bases = inputs.compactMap { capture.inputs[$0].base }
    let isDifferentiated =
      bases.contains { $0.requiresGrad || $0.requiresGradAfter } || inputs.contains { capture.inputs[$0].requiresGrad }
    if isDifferentiated { return [AliasGroup(inputs: inputs)] }
    let graph = capture.module.graph
    let placeholders = graph.placeholders
    let ranges = inputs.map { input in (input, graph[metadata: placeholders[input]].tensor?.elementBytes ?? 0..<0) }
    var groups: [AliasGroup] = []
    var current: (inputs: [Int], end: Int) = ([], 0)
    for (input, range) in ranges.sorted(by: { $0.1.lowerBound < $1.1.lowerBound }) {
      if range.lowerBound >= current.end {
        if current.inputs.count > 1 { groups.append(AliasGroup(inputs: current.inputs.sorted())) }
        current.inputs = []
      }
      current.inputs.append(input)
      current.end = max(current.end, range.upperBound)
    }
    if current.inputs.count > 1 { groups.append(AliasGroup(inputs: current.inputs.sorted())) }
    return groups
  }
}

extension Graph {
  /// Whether a call writes elements, rather than only giving a tensor another layout.
  func writesElements(_ id: NodeID) -> Bool {
    guard let target = self[id].target, target.schema.isMutating else { return false }
    return !self[id].changesLayoutOnly
  }
}

extension TensorMeta {
  /// The bytes of the storage that the elements lie in, and those between them.
  fileprivate var elementBytes: Range<Int> {
    let elements = layout.elementRange
    return elements.lowerBound * dtype.byteCount..<elements.upperBound * dtype.byteCount
  }
}
