import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// The backward half of a function with wrapper tensors: one graph on inner tensors for each structure of the tangents.
///
/// Which subclass a gradient is of, only the caller's backward pass tells: a result that is an ordinary tensor may get
/// one of a wrapper tensor that it was added to. The usual one, of the result's own structure, is known ahead of time.
public final class SubclassBackward: CompiledBackward, @unchecked Sendable {
  // Sendable: the module is constant, and what is compiled from it is behind a lock.
  private let module: GraphModule
  private let saved: [TensorStructure]
  private let usual: [TensorStructure]
  private let prepare: (GraphModule) throws -> GraphModule
  private let compiler: any GraphCompiler
  private let variants = Locked<[[TensorStructure]: Variant]>([:])
  /// The graph for tangents that are made as the results are.
  public let dense: DenseGraph

  private struct Variant {
    let graph: any CompiledGraph
    let gradients: [Argument<TensorStructure>]
  }

  /// - Parameters:
  ///   - module: The backward graph on outer tensors.
  ///   - saved: What the forward graph saved is made of.
  ///   - outputs: What the results that have a tangent are made of.
  ///   - prepare: What is done to each graph on inner tensors before it is compiled.
  public init(
    _ module: GraphModule, saved: [TensorStructure], outputs: [TensorStructure], compiler: any GraphCompiler,
    prepare: @escaping (GraphModule) throws -> GraphModule
  ) throws {
    self.module = module
    self.saved = saved
    self.compiler = compiler
    self.prepare = prepare
    usual = zip(module.graph.tangents, outputs).map { meta, output in
      if case .wrapper = output { output } else { .plain(meta) }
    }
    var dense = try module.unwrappingSubclasses(inputs: saved + usual)
    dense.module = try prepare(dense.module)
    self.dense = dense
  }

  /// What is saved is left alone: inner tensors may be anyone's.
  public func run(saved: consuming [Value], tangents: [Tensor?], isLast: Bool) throws -> [Value] {
    let tangents = try zip(tangents, usual).map { try $1.tangent($0) }
    let variant = try variant(for: tangents.map { TensorStructure($0) })
    let results = try variant.graph.run(saved + tangents.unwrapped.map { .reference($0) })
    var leaves = results.makeIterator()
    return try variant.gradients.map { try $0.wrapped(&leaves) }
  }

  /// The graph for tangents made like this; compiled now if these are the first.
  private func variant(for tangents: [TensorStructure]) throws -> Variant {
    try variants.withLock { known in
      if let variant = known[tangents] { return variant }
      var graph = dense
      if tangents != usual {
        graph = try module.unwrappingSubclasses(inputs: saved + tangents)
        graph.module = try prepare(graph.module)
      }
      let variant = Variant(
        graph: try compiler.compile(graph.module, role: .backward), gradients: graph.results)
      known[tangents] = variant
      return variant
    }
  }
}

extension TensorStructure {
  /// A gradient for a result made like this: in the usual layout where it is an ordinary tensor, zeros where none
  /// arrived.
  fileprivate func tangent(_ gradient: Tensor?) throws -> Tensor {
    switch (gradient, self) {
    case (let gradient?, .wrapper): gradient
    case (let gradient?, .plain(let meta)): gradient.subclass == nil ? try meta.tangent(gradient) : gradient
    case (nil, _): try wrapped { try $0.tangent(nil) }
    }
  }
}
