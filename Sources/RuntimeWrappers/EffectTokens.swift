import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// Gives the graph the tokens that its first effects take, and takes from its results those that its last ones gave.
///
/// Tokens have no elements: they are there for the order that they give to a graph.
public struct EffectTokens: RuntimeWrapper {
  public static let name = "effect tokens"

  private let count: Int

  /// nil where nothing has an effect.
  public init?(_ meta: ViewAndMutationMeta) {
    if meta.effects.isEmpty { return nil }
    count = meta.effects.count
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { [count] arguments in
      let token = OperatorDefinition.token
      let tokens = try (0..<count).map { _ in
        try Tensor(uninitialized: token.layout, dtype: token.dtype, device: token.device)
      }
      return Array(try inner(arguments + tokens).dropFirst(count))
    }
  }
}
