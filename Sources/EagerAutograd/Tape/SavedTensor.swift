import GraphIR
import Operators
import TensorCore

/// A tensor kept for the backward pass, as memory and history rather than as the object: the object may come to refer to
/// the function that saves it, and both would live for ever.
package final class SavedTensor {
  /// What the saved tensor's own gradient needs, for a backward pass that is itself differentiated.
  package enum History {
    case none
    case edge(GradientEdge)
    /// The tensor is this result of the step that the saving function belongs to.
    case result(Int)
    /// As `result`, where the step wrote through a view: the history leads through that of the view's base, which is
    /// what calls the saving function.
    case resultThroughView(base: WeakEdge, ViewChain)
  }

  /// Where the elements are.
  private enum Elements {
    case memory(Storage, version: Int)
    /// Whoever packed the tensor gives it back.
    case packed(() throws -> Tensor)
  }

  private let elements: Elements
  private let layout: Layout
  private let dtype: DType
  private let wrapperMeta: WrapperMeta?
  private let history: History
  /// The tensor itself while calls are intercepted: an interceptor knows tensors by identity, and keeps them alive.
  private let original: WeakReference<Tensor>?

  /// - Throws: `AutogradError` with code `inferenceTensor` for a tensor made in inference mode.
  package init(_ tensor: Tensor, history: History, savedBy name: OperatorName?) throws {
    guard !tensor.isInference else {
      throw AutogradError(
        .inferenceTensor, in: name,
        "a tensor made in inference mode (\(tensor.dtype) \(tensor.sizes)) cannot be saved for a backward pass; clone it first"
      )
    }
    let context = DispatchContext.current
    if let unpack = try context.savedTensorPacker?.pack(tensor) {
      self.elements = .packed(unpack)
    } else {
      self.elements = .memory(tensor.storage, version: tensor.storage.version)
    }
    self.layout = tensor.layout
    self.dtype = tensor.dtype
    self.wrapperMeta = tensor.wrapperMeta
    self.history = history
    self.original = context.mode == nil || context.savedTensorPacker != nil ? nil : WeakReference(tensor)
  }

  /// The history of a result that was written through a view of a base.
  static func history(ofResult index: Int, writtenTo tensor: Tensor) -> History {
    guard let record = tensor.viewRecord, let base = record.base.autogradState?.history else { return .result(index) }
    return .resultThroughView(base: WeakEdge(base), ViewChain(record, to: tensor))
  }

  /// The function that keeping the tensor keeps alive.
  var keptFunction: GradientFunction? { if case .edge(let edge) = history { edge.function } else { nil } }

  /// The tensor, if its memory still holds what was saved.
  ///
  /// - Parameter function: The function that saved it.
  /// - Throws: `AutogradError` with code `modifiedInPlace` where the memory was written to.
  package func unpacked(by function: GradientFunction) throws -> Tensor {
    if let failure = failure(in: function) { throw failure }
    if let original = original?.object { return original }
    let edge: GradientEdge?
    switch history {
    case .none: edge = nil
    case .edge(let known): edge = known
    case .result(let index): edge = GradientEdge(function, inputIndex: index)
    case .resultThroughView(let weak, let chain): edge = try weak.edge.flatMap { try derived($0, chain) }
    }
    let tensor: Tensor
    switch elements {
    case .memory(let storage, _):
      // The leaf itself, unless it was given other memory or another layout since.
      if let leaf = (edge?.function as? AccumulateGradient)?.variable, leaf.storage === storage, leaf.layout == layout {
        return leaf
      }
      tensor = Tensor(unchecked: storage, layout: layout, dtype: dtype, wrapperMeta: wrapperMeta)
    case .packed(let unpack):
      tensor = Tensor(sharingMemoryOf: try unpack())
    }
    if let edge, DispatchContext.current.recordsGradients { tensor.autogradMeta = AutogradState(history: edge) }
    return tensor
  }

  private func derived(_ base: GradientEdge, _ chain: ViewChain) throws -> GradientEdge? {
    try base.function.inputMetadata[base.inputIndex].map { try ViewHistory.derived(from: base, base: $0, chain).edge }
  }

  /// Why the tensor cannot be unpacked: its memory was written to. nil where it can.
  func failure(in function: GradientFunction) -> AutogradError? {
    guard case .memory(let storage, let version) = elements, storage.version != version else { return nil }
    return modifiedError(function, storage.version, saved: version)
  }

  private func modifiedError(_ function: GradientFunction, _ version: Int, saved: Int) -> AutogradError {
    let origin: String
    switch history {
    case .edge(let edge) where !(edge.function is AccumulateGradient):
      origin = ", result \(edge.inputIndex) of \(edge.function.name),"
    case .result(let index): origin = ", result \(index) of the same call,"
    default: origin = ""
    }
    return AutogradError(
      .modifiedInPlace, in: function.operatorName,
      """
      a value that \(function.name) saved for its gradient was changed in place: a \(dtype) tensor of shape \
      \(layout.sizes)\(origin) is at version \(version), but was saved at version \(saved). \
      Use an operator that gives a new tensor in place of the one that writes, or clone the value before it is written
      """)
  }
}

/// A reference that does not keep its object alive.
final class WeakReference<Object: AnyObject> {
  weak var object: Object?
  init(_ object: Object) { self.object = object }
}

/// An edge that does not keep its function alive.
package final class WeakEdge {
  private weak var function: GradientFunction?
  private let inputIndex: Int

  init(_ edge: GradientEdge) {
    self.function = edge.function
    self.inputIndex = edge.inputIndex
  }

  var edge: GradientEdge? { function.map { GradientEdge($0, inputIndex: inputIndex) } }
}
