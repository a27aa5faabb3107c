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

  /// Whether its memory is on that device, was or was not made in inference mode, and begins with the tensor or before it.
  package func lies(on device: Device, inside: Bool, isInference: Bool) -> Bool {
    storage.device == device && storage.isInference == isInference && (layout.offset != 0) == inside
  }
}
