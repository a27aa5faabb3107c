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
  ///   - isLast: Whether nobody needs what is saved after this run, so that it may be overwritten where nobody else holds it.
  /// - Returns: One gradient or none per primal.
  func run(saved: consuming [Value], tangents: [Tensor?], isLast: Bool) throws -> [Value]
}

/// A backward graph that is compiled when a gradient first needs it, once for every choice of results that gradients arrive
/// at, and apart for runs that may overwrite what was saved.
public final class LazyBackward: CompiledBackward, @unchecked Sendable {
  // Sendable: the module is constant, and what is compiled from it is behind a lock.
  private let module: GraphModule
  private let tangents: [TensorMeta]
  private let compiler: any GraphCompiler
  private let donated: [DonatedTensor]
  private let graphs = Locked<[Variant: any CompiledGraph]>([:])

  private struct Variant: Hashable {
    /// The tangents that do not arrive.
    var missing: Set<Int>
    /// Whether saved tensors may be overwritten.
    var donates: Bool
  }

  /// - Parameter donated: Positions of saved tensors that nobody else is expected to see, and that fill their storages.
  public init(_ module: GraphModule, compiler: any GraphCompiler, donating donated: [Int] = []) {
    self.module = module
    self.tangents = module.graph.tangents
    self.compiler = compiler
    let placeholders = module.graph.placeholders
    self.donated = donated.compactMap { position in
      module.graph[metadata: placeholders[position]].tensor.map { DonatedTensor(position, $0) }
    }
  }

  public func run(saved: consuming [Value], tangents: [Tensor?], isLast: Bool) throws -> [Value] {
    let donates = isLast && !donated.isEmpty && donated.allSatisfy { $0.isOurs(in: &saved) }
    let arrived = try zip(tangents, self.tangents).compactMap { gradient, meta in
      try gradient.map { try Value.reference(meta.tangent($0)) }
    }
    let missing = arrived.count == tangents.count ? [] : Set(tangents.indices.filter { tangents[$0] == nil })
    return try compiled(Variant(missing: missing, donates: donates)).run(saved + arrived)
  }

  /// The compiled graph; compiled now if this is the first call of its kind.
  private func compiled(_ variant: Variant) throws -> any CompiledGraph {
    try graphs.withLock { known in
      if let graph = known[variant] { return graph }
      let module = variant.missing.isEmpty ? module : try module.withoutTangents(variant.missing)
      let compiled = try compiler.compile(
        module, role: .backward, donating: variant.donates ? donated.map(\.position) : [])
      known[variant] = compiled
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
