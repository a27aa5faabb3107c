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
    var parts = inputs.map { input in
      Part(
        inputs: [input], range: graph[metadata: placeholders[input]].tensor?.elementBytes ?? 0..<0,
        bases: [capture.inputs[input].base].compactMap(\.self))
    }
    // The base of several may reach further than they do.
    while case let merged = joined(parts), merged.count < parts.count { parts = merged }
    return parts.filter { $0.inputs.count > 1 }.map { AliasGroup(inputs: $0.inputs.sorted()) }
  }

  /// Inputs that reach into one part of a storage.
  private struct Part {
    var inputs: [Int]
    var range: Range<Int>
    var bases: [AOTGraphCapture.BaseFacts]

    /// What the graph gets of the storage: of several inputs their base, or all from the start on where they have several.
    var reach: Range<Int> {
      if inputs.count == 1 { return range }
      let ends = bases.map(\.meta.elementBytes)
      let start = Set(bases.map(\.number)).count > 1 ? 0 : ends.map(\.lowerBound).min() ?? 0
      return min(start, range.lowerBound)..<max(range.upperBound, ends.map(\.upperBound).max() ?? 0)
    }

    mutating func formUnion(_ other: Part) {
      inputs += other.inputs
      range = min(range.lowerBound, other.range.lowerBound)..<max(range.upperBound, other.range.upperBound)
      bases += other.bases
    }
  }

  /// The parts with those joined that reach into each other.
  private static func joined(_ parts: [Part]) -> [Part] {
    var joined: [Part] = []
    var end = 0
    for (part, reach) in parts.map({ ($0, $0.reach) }).sorted(by: { $0.1.lowerBound < $1.1.lowerBound }) {
      if reach.lowerBound < end { joined[joined.count - 1].formUnion(part) } else { joined.append(part) }
      end = max(end, reach.upperBound)
    }
    return joined
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
