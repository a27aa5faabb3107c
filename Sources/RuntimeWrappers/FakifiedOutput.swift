import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// Gives results the strides that they have in the graph, where a compiler gave them others: what was found out on fake
/// tensors is what the caller sees.
public struct FakifiedOutput: RuntimeWrapper {
  public static let name = "fakified output"

  private let layouts: [Layout?]

  /// - Parameter graph: The forward or inference graph.
  public init(_ graph: Graph) {
    layouts = (graph.result.elements ?? []).map { $0.reference.flatMap { graph[metadata: $0].tensor?.layout } }
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { arguments in
      var results = try inner(arguments)
      for (index, layout) in zip(results.indices, layouts) {
        guard let layout, let tensor = results[index].reference, !layout.isEmpty, tensor.sizes == layout.sizes,
          tensor.strides != layout.strides
        else { continue }
        let copy = try Tensor(uninitialized: layout, dtype: tensor.dtype, device: tensor.device)
        results[index] = .reference(try copy.copy_(tensor))
      }
      return results
    }
  }
}
