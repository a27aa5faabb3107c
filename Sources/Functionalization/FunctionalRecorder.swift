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

  private var inputStorages: Set<ObjectIdentifier> = []

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

  /// A new value with the gradient history of the old one, as after a write that autograd did not see.
  func grafted(_ new: Tensor, onto old: Tensor) throws -> Tensor {
    guard recordsGradients, old !== new, new.dtype.isFloatingPoint else { return new }
    var metadata = currentMetadata
    metadata.gradMode = nil
    return try with(metadata) { try OperatorLibrary.withHistory(.reference(new), .reference(old)) }
  }

  /// Whether a tensor lies in the memory of an input.
  func isInInput(_ tensor: Tensor) -> Bool { inputStorages.contains(ObjectIdentifier(tensor.storage)) }

  /// Adds an input of the functional graph.
  func placeholder(_ name: String, _ meta: TensorMeta, descriptor: Descriptor) throws -> Tensor {
    let tensor = try tracer.placeholder(name, meta, descriptor: descriptor)
    inputStorages.insert(ObjectIdentifier(tensor.storage))
    return tensor
  }

  /// A tensor with the same elements, and perhaps another layout, that takes no work.
  func elements(of tensor: Tensor) -> Tensor {
    guard let node = tracer.node(of: tensor), let replacement = tracer.graph.replacement(of: node),
      let value = tracer.value(of: replacement.new)?.reference, value.dtype == tensor.dtype, value.sizes == tensor.sizes
    else { return tensor }
    return elements(of: value)
  }
}

extension Graph {
  /// What a call puts in the place of what, where it gives another tensor's elements with something kept of the old one.
  func replacement(of id: NodeID) -> (new: NodeID, old: NodeID)? {
    let references = self[id].arguments.prefix(2).compactMap(\.reference)
    guard references.count == 2 else { return nil }
    if self[id].calls(OperatorLibrary.withHistory) { return (new: references[0], old: references[1]) }
    if self[id].calls(OperatorLibrary.copy) { return (new: references[1], old: references[0]) }
    return nil
  }
}
