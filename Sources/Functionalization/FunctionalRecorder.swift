import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// Records the functional graph: a tracer, and what its new nodes are to know about where they come from.
final class FunctionalRecorder {
  let tracer = GraphTracer()
  /// Whether gradients will be taken of the graph, so that it must tell what autograd saw.
  let recordsGradients: Bool
  /// What new nodes get.
  private(set) var currentMetadata = NodeMetadata()

  init(recordsGradients: Bool) {
    self.recordsGradients = recordsGradients
    tracer.annotate = { [unowned self] _ in currentMetadata }
  }

  /// Runs `body` with its calls recorded.
  func recording<Result>(_ body: () throws -> Result) rethrows -> Result {
    let context = DispatchContext.current
    let isGradEnabled = context.isGradEnabled
    context.isGradEnabled = false
    defer { context.isGradEnabled = isGradEnabled }
    return try tracer.recording(body)
  }

  /// Runs `body` with new nodes getting this metadata, but for what says what a node gives.
  func with<Result>(_ metadata: NodeMetadata, _ body: () throws -> Result) rethrows -> Result {
    let saved = currentMetadata
    currentMetadata = metadata
    currentMetadata.value = nil
    currentMetadata.descriptor = nil
    defer { currentMetadata = saved }
    return try body()
  }

  /// Runs `body` on fake tensors without recording its calls.
  func unrecorded<Result>(_ body: () throws -> Result) rethrows -> Result {
    try DispatchContext.current.withMode(nil, body)
  }

  /// The elements of `data` with the gradient history of `old`.
  func withData(of old: Tensor, _ data: Tensor) throws -> Tensor {
    guard recordsGradients, old !== data, data.dtype.isFloatingPoint else { return data }
    var metadata = currentMetadata
    metadata.gradMode = nil
    return try with(metadata) { try OperatorLibrary.withData(.reference(old), .reference(data)) }
  }

  /// A tensor with the same elements, and perhaps another layout, that takes no work: what `withData` or a write put in place of
  /// another tensor.
  func elements(of tensor: Tensor) -> Tensor {
    guard let node = tracer.node(of: tensor), let source = tracer.graph.replacementSource(of: node),
      let value = tracer.value(of: source)?.reference, value.dtype == tensor.dtype, value.sizes == tensor.sizes
    else { return tensor }
    return elements(of: value)
  }
}

extension Graph {
  /// The second argument of a call that gives its elements in place of those of the first.
  func replacementSource(of id: NodeID) -> NodeID? {
    let node = self[id]
    guard node.calls(OperatorLibrary.withData) || node.calls(OperatorLibrary.copy), node.arguments.count > 1 else {
      return nil
    }
    return node.arguments[1].reference
  }
}
