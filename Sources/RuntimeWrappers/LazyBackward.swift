import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// The backward half of a compiled function.
public protocol CompiledBackward: Sendable {
  /// - Parameters:
  ///   - saved: What the forward graph saved, in its order.
  ///   - tangents: The gradients that arrived, one per result that has a tangent; nil is zero.
  /// - Returns: One gradient or none per primal.
  func run(saved: [Value], tangents: [Tensor?]) throws -> [Value]
}

/// A backward graph that is compiled when a gradient first needs it.
public final class LazyBackward: CompiledBackward, @unchecked Sendable {
  // Sendable: the module is constant, and what is compiled from it is behind a lock.
  private let module: GraphModule
  private let tangents: [TensorMeta]
  private let compiler: any GraphCompiler
  private let graph = Locked<(any CompiledGraph)?>(nil)

  public init(_ module: GraphModule, compiler: any GraphCompiler) {
    self.module = module
    self.tangents = module.graph.tangents
    self.compiler = compiler
  }

  public func run(saved: [Value], tangents: [Tensor?]) throws -> [Value] {
    let tangents = try zip(tangents, self.tangents).map { try Value.reference($1.tangent($0)) }
    return try compiled().run(saved + tangents)
  }

  /// The compiled graph; compiled now if this is the first call.
  private func compiled() throws -> any CompiledGraph {
    try graph.withLock { known in
      if let known { return known }
      let compiled = try compiler.compile(module, role: .backward)
      known = compiled
      return compiled
    }
  }
}

extension Graph {
  /// The metadata of the tangents that a backward graph takes.
  var tangents: [TensorMeta] {
    placeholders.compactMap { id in
      guard case .tangent = self[id].metadata.descriptor else { return nil }
      return self[id].metadata.tensor
    }
  }
}

extension TensorMeta {
  /// A gradient in the layout that the backward graph was compiled for; zeros where none arrived.
  func tangent(_ gradient: Tensor?) throws -> Tensor {
    if let gradient, gradient.layout == layout, gradient.dtype == dtype { return gradient }
    let tangent = try Tensor(uninitialized: layout, dtype: dtype, device: device)
    return try gradient.map { try tangent.copy_($0) } ?? tangent.zero_()
  }
}
