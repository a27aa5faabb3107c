import AOTArtifacts
import GraphIR
import TensorCore

/// A backward graph that is compiled when a gradient first needs it.
public final class LazyBackward: @unchecked Sendable {
  // Sendable: the module is constant, and what is compiled from it is behind a lock.
  private let module: GraphModule
  private let compiler: any GraphCompiler
  private let graph = Locked<(any CompiledGraph)?>(nil)

  public init(_ module: GraphModule, compiler: any GraphCompiler) {
    self.module = module
    self.compiler = compiler
  }

  /// The compiled graph; compiled now if this is the first call.
  public func compiled() throws -> any CompiledGraph {
    try graph.withLock { known in
      if let known { return known }
      let compiled = try compiler.compile(module, role: .backward)
      known = compiled
      return compiled
    }
  }
}
