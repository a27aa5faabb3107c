import AOTAutograd
import GraphIR
import ModelFormats
import Operators
import TensorCore

/// Replays models that PyTorch exported, eagerly and compiled, and compares all that is recorded: results, every gradient,
/// buffers, inputs that are written to, and training steps.
public struct ModelReplay {
  private let facts: ModelFacts
  private let configuration: AOTConfiguration

  public init(_ facts: ModelFacts, configuration: AOTConfiguration = .init()) {
    self.facts = facts
    self.configuration = configuration
  }

  /// Replays every model, part by part; each result is given as it comes.
  public func run(_ report: (ReplayResult) -> Void) {
    for entry in facts.entries {
      report(
        ReplayResult(id: "\(entry.name) file", operatorName: entry.name, outcome: outcome { try Self.checkFile(entry) })
      )
      for (mode, name) in [(ReplayMode.eager, "eager"), (.compiled(configuration), "compiled")] {
        for part in Self.parts(of: entry) {
          let outcome = outcome { try ModelSession(entry, mode).run(part) }
          report(ReplayResult(id: "\(entry.name) \(name) \(part)", operatorName: entry.name, outcome: outcome))
        }
      }
    }
  }

  private static func parts(of entry: ModelFacts.Entry) -> [ModelSession.Part] {
    if entry.facts.isStructureOnly { return [.random] }
    let batches = entry.facts.batches.keys.sorted { ($0.count, $0) < ($1.count, $1) }
    return [.call(batch: nil)] + (entry.facts.training == nil ? [] : [.training]) + batches.map { .call(batch: $0) }
  }

  private func outcome(of body: () throws -> Void) -> ReplayResult.Outcome {
    do {
      try body()
      return .passed
    } catch let mismatch as Mismatch {
      return .failed(mismatch)
    } catch {
      return .failed(Mismatch("replay", expected: "a result", got: "the error \"\(error)\""))
    }
  }

  /// Compares what the archive holds with what is recorded of it.
  private static func checkFile(_ entry: ModelFacts.Entry) throws {
    let model = try ImportedModel(contentsOf: entry.archive)
    var state = Dictionary(uniqueKeysWithValues: (model.parameters + model.buffers).map { ($0.name, $0.tensor) })
    for (name, first) in model.tiedNames { state[name] = state[first] }
    for name in entry.tensors.names(after: "state/") {
      guard let expected = try entry.tensors["state/" + name] else { continue }
      guard let found = state[name] else { throw Mismatch(name, expected: "a weight", got: "none") }
      try found.compare(with: expected, Tolerance(relative: 0, absolute: 0), name)
    }
    let count = model.parameters.reduce(0) { $0 + $1.tensor.elementCount }
    if let expected = entry.facts.parameterCount, expected != count {
      throw Mismatch("elements of all parameters", expected: "\(expected)", got: "\(count)")
    }
    let found = model.module.operatorCounts
    for (name, expected) in entry.facts.operators.sorted(by: { $0.key < $1.key }) where !name.hasSuffix(".getitem") {
      let got = found[name] ?? 0
      if got != expected { throw Mismatch("calls of \(name)", expected: "\(expected)", got: "\(got)") }
    }
  }
}

extension GraphModule {
  /// How often each operator is called, under PyTorch's names, nested modules included.
  fileprivate var operatorCounts: [String: Int] {
    var counts: [String: Int] = [:]
    for id in graph.nodes {
      guard let name = graph[id].target?.name else { continue }
      let spelling =
        switch name.namespace {
        case "aten": "\(name)"
        case "operator": "_operator.\(name.base)"
        default: "\(name.namespace).\(name.base)"
        }
      counts[spelling, default: 0] += 1
    }
    for module in modules.values { counts.merge(module.operatorCounts, uniquingKeysWith: +) }
    return counts
  }
}
