import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// The backward half of a compiled function.
public protocol CompiledBackward: Sendable {
  /// - Parameters:
  ///   - saved: What the forward graph saved, in its order.
  ///   - tangents: The gradients that arrived, one per result that has a tangent; nil where none did.
  /// - Returns: One gradient or none per primal.
  func run(saved: [Value], tangents: [Tensor?]) throws -> [Value]
}

/// A backward graph that is compiled when a gradient first needs it, once for every choice of results that gradients arrive at.
public final class LazyBackward: CompiledBackward, @unchecked Sendable {
  // Sendable: the module is constant, and what is compiled from it is behind a lock.
  private let module: GraphModule
  private let tangents: [TensorMeta]
  private let compiler: any GraphCompiler
  /// By the tangents that do not arrive.
  private let graphs = Locked<[Set<Int>: any CompiledGraph]>([:])

  public init(_ module: GraphModule, compiler: any GraphCompiler) {
    self.module = module
    self.tangents = module.graph.tangents
    self.compiler = compiler
  }

  public func run(saved: [Value], tangents: [Tensor?]) throws -> [Value] {
    let arrived = try zip(tangents, self.tangents).compactMap { gradient, meta in
      try gradient.map { try Value.reference(meta.tangent($0)) }
    }
    let missing = arrived.count == tangents.count ? [] : Set(tangents.indices.filter { tangents[$0] == nil })
    return try compiled(without: missing).run(saved + arrived)
  }

  /// The compiled graph; compiled now if this is the first call of its kind.
  private func compiled(without missing: Set<Int>) throws -> any CompiledGraph {
    try graphs.withLock { known in
      if let graph = known[missing] { return graph }
      let module = missing.isEmpty ? module : try module.withoutTangents(missing)
      let compiled = try compiler.compile(module, role: .backward)
      known[missing] = compiled
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
  /// A gradient in the layout that the backward graph was compiled for; zeros where none arrived. The result may have been given
  /// another shape since.
  func tangent(_ gradient: Tensor?) throws -> Tensor {
    if let gradient, gradient.layout == layout, gradient.dtype == dtype { return gradient }
    let tangent = try Tensor(uninitialized: layout, dtype: dtype, device: device)
    guard let gradient else { return try tangent.zero_() }
    let isReshaped = gradient.sizes != sizes && gradient.elementCount == layout.elementCount.value
    return try tangent.copy_(isReshaped ? gradient.reshape(sizes) : gradient.summed(to: sizes))
  }
}
