import GraphIR

/// A graph without views of visible memory and without writing, but for copies into inputs at its very end.
///
/// Its output is one tuple: the new values of inputs mutated out of the graph (`.mutated`), the outputs that the runtime
/// does not make by itself (`.output`), the intermediate bases (`.intermediateBase`).
public struct FunctionalGraph {
  public var module: GraphModule
  public var meta: ViewAndMutationMeta

  public init(module: GraphModule, meta: ViewAndMutationMeta) {
    self.module = module
    self.meta = meta
  }
}
