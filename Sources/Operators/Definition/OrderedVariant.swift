import GraphIR
import TensorCore

extension OperatorDefinition {
  /// Of an operator with an effect, the one that takes a token behind the operator's own arguments and gives one behind its results:
  /// what stands in functional graphs, where data flow alone then says what happens after what. Nil for an operator whose own
  /// code does not compute new tensors.
  ///
  /// Tokens are bool tensors [0]. Compare PyTorch's `with_effects` and JAX's runtime tokens.
  package var ordered: OperatorDefinition? {
    guard traits.contains(.effectful), !mutates, !schema.returns.contains(where: \.isList) else { return nil }
    switch implementation {
    case .host, .kernel: break
    case .view, .copy, .inPlace, .mutating, .setStorage, .composite: return nil
    }
    return DerivedVariants.ordered.variant(of: self) { original in
      OperatorDefinition(
        extending: original, schema: original.schema.ordered, traits: original.traits.subtracting(.core),
        original.orderedImplementation)
    }
  }

  /// The metadata of every token.
  package static let token = TensorMeta(dtype: .bool, sizes: [0])

  private var orderedImplementation: Implementation {
    switch implementation {
    case .host(let shape, let body):
      return .host(shape: { try shape(self.call($0)) + [Self.token] }) { try body(self.call($0), $1.dropLast()) }
    case .kernel(let shape, let lowering):
      return .kernel(
        shape: { try shape(self.call($0)) + [Self.token] },
        lowering: { try lowering(self.call($0), $1.dropLast(), &$2) })
    case .view, .copy, .inPlace, .mutating, .setStorage, .composite: return implementation
    }
  }

  /// This operator's part of a call of its ordered variant.
  private func call<Reference>(_ ordered: Call<Reference>) -> Call<Reference> {
    Call(self, ordered.arguments.dropLast())
  }
}

extension OperatorSchema {
  fileprivate var ordered: OperatorSchema {
    var result = self
    result.name = OperatorName(
      "with_effects", name.namespace == "aten" ? name.base : "\(name.namespace)_\(name.base)", name.overload)
    result.parameters.append(.init("token", .tensor, isKeywordOnly: true))
    result.returns.append(.init(.tensor))
    return result
  }
}

extension OperatorSchema.Return {
  fileprivate var isList: Bool { if case .list = type { true } else { false } }
}
