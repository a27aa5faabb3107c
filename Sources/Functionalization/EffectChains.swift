import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// The effects of a functional graph in program order: each takes the token that the one before it of its kind gave. The first
/// tokens come in as inputs, the last ones are returned.
final class EffectChains {
  /// One per token.
  let kinds: [EffectKind]
  /// As they stand where the program has got to.
  private(set) var tokens: [Tensor] = []
  private let recorder: FunctionalRecorder

  init(_ program: Graph, recorder: FunctionalRecorder) {
    self.recorder = recorder
    var kinds: [EffectKind] = []
    for target in program.calledOperators where target.ordered != nil {
      if let kind = target.effectKind, !kinds.contains(kind) { kinds.append(kind) }
    }
    self.kinds = kinds
  }

  /// Adds the graph's inputs, one per kind of effect.
  func addInputs() throws {
    tokens = try kinds.indices.map {
      try recorder.tracer.placeholder("token", OperatorDefinition.token, descriptor: .token($0))
    }
  }

  /// Calls an operator that has an effect.
  func call(_ target: OperatorDefinition, _ arguments: [Value]) throws -> Value {
    guard let ordered = target.ordered, let index = kinds.firstIndex(where: { $0 == target.effectKind }) else {
      return try target.evaluate(arguments)
    }
    var results = try ordered.evaluate(arguments + [.reference(tokens[index])]).results
    if let token = results.popLast()?.reference { tokens[index] = token }
    return results.count > 1 ? .tuple(results) : results.first ?? .none
  }
}
