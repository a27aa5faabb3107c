import GraphIR

/// A graph without views of visible memory and without writing, but for copies into inputs at its very end.
///
/// Its inputs are those of the function, the tokens of its effects (`.token`), and what its random numbers are made of (`.randomKey`,
/// `.randomCounter`). Its output is one tuple: the tokens of its last effects, the new values of inputs mutated out of the graph (`.mutated`), the outputs that the runtime
/// does not make by itself (`.output`), the intermediate bases (`.intermediateBase`).
public struct FunctionalGraph {
  public var module: GraphModule
  public var meta: ViewAndMutationMeta

  public init(module: GraphModule, meta: ViewAndMutationMeta) {
    self.module = module
    self.meta = meta
  }
}
