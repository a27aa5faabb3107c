// What compiled functions do with each argument at each call: in this module, where it takes no checks of access and no copies
// of sizes and strides.

/// Where the elements of a tensor begin.
package struct MemoryPlace {
  package let storage: Storage
  /// In elements.
  package let offset: SymInt
  package let address: UnsafeMutableRawPointer?

  package init(_ tensor: Tensor) {
    storage = tensor.storage
    offset = tensor.layout.offset
    address = tensor.dataAddress
  }

  package init(_ storage: Storage) {
    self.storage = storage
    offset = 0
    address = storage.baseAddress
  }
}

extension Tensor {
  /// Whether autograd knows nothing of the tensor and it is of no subclass: a leaf that requires no gradient.
  package var isPlain: Bool { autogradMeta == nil && viewMeta == nil && wrapperMeta == nil }

  /// Whether the tensor has that type, those sizes and those strides.
  package func has(_ dtype: DType, _ sizes: [SymInt], _ strides: [SymInt]) -> Bool {
    self.dtype == dtype && layout.sizes == sizes && layout.strides == strides
  }

  /// Whether the tensor is a view of another one.
  @inline(never) public var isView: Bool { viewMeta != nil }

  /// The tensor at the root of the chain of views that leads to this one: itself where it is no view.
  @inline(never) package var rootOfViews: Tensor { viewMeta?.base ?? self }

  /// The tensor at the root of the chain of views, unless that was given other memory since; itself then.
  package var baseInItsMemory: Tensor {
    guard let base = viewMeta?.base, base.storage === storage else { return self }
    return base
  }

  /// The number of writes in place to the memory so far.
  @inline(never) package var memoryVersion: Int { storage.version }

  /// Another tensor over the same memory, from as many elements on.
  @inline(never) package func view(at layout: Layout, from offset: SymInt) -> Tensor {
    var layout = layout
    layout.offset += offset
    return Tensor(unchecked: storage, layout: layout, dtype: dtype)
  }

  /// Where in its storage the tensor starts, in elements.
  @inline(never) package var storageOffset: SymInt { layout.offset }

  /// The identity of its storage.
  package var storageIdentity: UnsafeRawPointer { UnsafeRawPointer(Unmanaged.passUnretained(storage).toOpaque()) }
}

/// What is known of a tensor that is plain: all that there is to it but its elements and place.
package struct PlainGeometry: Sendable {
  private let dtype: DType
  private let sizes: [SymInt]
  private let strides: [SymInt]
  private let device: Device
  private let startsInside: Bool
  private let isInference: Bool

  /// - Parameters:
  ///   - startsInside: Whether the first element is not its storage's first.
  ///   - isInference: Whether its memory was made in inference mode.
  package init(
    dtype: DType, sizes: [SymInt], strides: [SymInt], device: Device, startsInside: Bool, isInference: Bool
  ) {
    self.dtype = dtype
    self.sizes = sizes
    self.strides = strides
    self.device = device
    self.startsInside = startsInside
    self.isInference = isInference
  }

  /// Whether a tensor is plain and like this.
  package func describes(_ tensor: Tensor) -> Bool {
    tensor.isPlain && tensor.has(dtype, sizes, strides) && tensor.storage.device == device
      && tensor.storage.isInference == isInference && (tensor.layout.offset != 0) == startsInside
  }
}
