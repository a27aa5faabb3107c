import TensorCore

/// Everything about a tensor but its elements: what a graph records of the value that a node gives.
public struct TensorMeta: Hashable, Sendable {
  public var dtype: DType
  public var layout: Layout
  public var device: Device
  public var requiresGrad: Bool
  /// Values with the same number share a storage; nil where nothing is known.
  public var storageID: Int?

  public init(
    dtype: DType, layout: Layout, device: Device = .cpu, requiresGrad: Bool = false, storageID: Int? = nil
  ) {
    self.dtype = dtype
    self.layout = layout
    self.device = device
    self.requiresGrad = requiresGrad
    self.storageID = storageID
  }

  /// A dense row-major tensor.
  public init(dtype: DType, sizes: [SymInt], device: Device = .cpu, requiresGrad: Bool = false) {
    self.init(dtype: dtype, layout: Layout(contiguous: sizes), device: device, requiresGrad: requiresGrad)
  }

  /// The metadata of a tensor, without autograd state.
  public init(_ tensor: Tensor) {
    self.init(dtype: tensor.dtype, layout: tensor.layout, device: tensor.device)
  }

  public var sizes: [SymInt] { layout.sizes }
  /// Bytes of the elements, each counted once.
  public var byteCount: Int { layout.elementCount.value * dtype.byteCount }
}
