import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// Passes the inner tensors of wrapper tensors, and wraps what the graph on inner tensors gives.
///
/// Inside, everything is an ordinary tensor; outside, autograd and aliasing are those of the outer tensors.
public struct SubclassWrapper: RuntimeWrapper {
  public static let name = "subclass"

  private let results: [Argument<TensorStructure>]
  /// The inputs whose inner tensors the graph writes to.
  private let written: [Int]

  /// - Parameters:
  ///   - forward: The graph that is wrapped.
  ///   - resultCount: How many of its results the caller sees; those after them are saved as they are.
  public init(_ forward: DenseGraph, resultCount: Int, meta: ViewAndMutationMeta) {
    results = Array(forward.results.prefix(resultCount))
    written = zip(forward.inputs, meta.inputs).enumerated().compactMap { index, input in
      guard case .wrapper = input.0, input.1.mutation == .inGraph else { return nil }
      return index
    }
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { arguments in
      var leaves = try inner(arguments.unwrapped).makeIterator()
      let wrapped = try results.map { try $0.wrapped(&leaves) }
      for position in written { arguments[position].storage.bumpVersion() }
      return wrapped + Array(leaves)
    }
  }
}

extension [Tensor] {
  /// The tensors with the inner tensors of wrapper tensors in their place.
  var unwrapped: [Tensor] {
    var tensors: [Tensor] = []
    tensors.reserveCapacity(count)
    for tensor in self {
      if tensor.subclass != nil { tensors += tensor.leaves } else { tensors.append(tensor) }
    }
    return tensors
  }
}

extension Argument where Reference == TensorStructure {
  /// The value that the next results of a graph on inner tensors make up.
  func wrapped(_ leaves: inout IndexingIterator<[Value]>) throws -> Value {
    guard case .reference(let structure) = self else { return leaves.next() ?? .none }
    return .reference(
      try structure.wrapped { _ in
        guard let tensor = leaves.next()?.reference else {
          throw GraphError(.execution, "a graph on inner tensors gave fewer than its results are made of")
        }
        return tensor
      })
  }
}
