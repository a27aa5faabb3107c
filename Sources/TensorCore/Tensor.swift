/// A view of typed elements in a storage.
///
/// A class, since identity matters: the same tensor passed twice is one tensor, and a leaf keeps its gradient.
/// It is not `Sendable`: memory and autograd state are shared and mutable. No property is read while it is being written, so
/// that their accesses need no checks at run time: there are many in each call.
public final class Tensor {
  @exclusivity(unchecked) public package(set) var storage: Storage
  @exclusivity(unchecked) public package(set) var layout: Layout
  public let dtype: DType

  /// What autograd keeps about this tensor; nil until it takes part.
  @exclusivity(unchecked) package var autogradMeta: AutogradMeta?
  /// How this tensor was made as a view of another; nil for a tensor that is no view.
  @exclusivity(unchecked) package var viewMeta: ViewMeta?
  /// What a tensor of a wrapper subclass stands for; nil for an ordinary tensor, whose elements are its storage's.
  @exclusivity(unchecked) package var wrapperMeta: WrapperMeta?

  /// A tensor over existing storage.
  ///
  /// - Throws: `TensorError` where the layout reaches outside the storage.
  public init(storage: Storage, layout: Layout, dtype: DType) throws(TensorError) {
    guard try layout.requiredByteCount(dtype) <= storage.byteCount else {
      throw TensorError(
        .outOfBounds,
        "sizes \(layout.sizes), strides \(layout.strides), offset \(layout.offset) reach outside a storage of "
          + "\(storage.byteCount / dtype.byteCount) elements"
      )
    }
    self.storage = storage
    self.layout = layout
    self.dtype = dtype
  }

  /// A tensor over storage whose layout is known to fit.
  package init(unchecked storage: Storage, layout: Layout, dtype: DType, wrapperMeta: WrapperMeta? = nil) {
    self.storage = storage
    self.layout = layout
    self.dtype = dtype
    self.wrapperMeta = wrapperMeta
  }

  /// Another tensor over the same memory, without the history of the first.
  package convenience init(sharingMemoryOf other: Tensor) {
    self.init(unchecked: other.storage, layout: other.layout, dtype: other.dtype, wrapperMeta: other.wrapperMeta)
  }

  /// A tensor with new, uninitialized memory.
  public convenience init(uninitialized layout: Layout, dtype: DType, device: Device = .cpu) throws(TensorError) {
    let storage = try Storage(byteCount: try layout.requiredByteCount(dtype), device: device)
    self.init(unchecked: storage, layout: layout, dtype: dtype)
  }

  /// A tensor without memory, over a fake storage of its own.
  public convenience init(fake layout: Layout, dtype: DType, device: Device = .cpu) throws(TensorError) {
    let storage = Storage(fakeByteCount: try layout.requiredByteCount(dtype), device: device)
    self.init(unchecked: storage, layout: layout, dtype: dtype)
  }

  public var device: Device { storage.device }
  public var sizes: [SymInt] { layout.sizes }
  public var strides: [SymInt] { layout.strides }
  public var rank: Int { layout.rank }
  public var elementCount: Int { layout.elementCount.value }
  public var isContiguous: Bool { layout.isContiguous }
  /// Whether this tensor has no memory, as while a function is captured.
  public var isFake: Bool { storage.isFake }
  /// The sizes as integers.
  public var shape: [Int] { layout.sizes.values }

  /// Address of the element at index zero; nil for a tensor without memory of its own.
  public var dataAddress: UnsafeMutableRawPointer? {
    storage.baseAddress.map { $0 + layout.offset.value * dtype.byteCount }
  }
}

/// Autograd's state on a tensor. A tensor only carries it; the layers above subclass it.
open class AutogradMeta {
  public init() {}
}

/// How a view was made. A tensor only carries it; the layers above subclass it.
open class ViewMeta {
  /// The tensor at the root of the chain of views; itself no view.
  public let base: Tensor

  public init(base: Tensor) { self.base = base }
}

/// What a tensor without memory of its own stands for. A tensor only carries it; the layers above subclass it.
open class WrapperMeta: CustomStringConvertible {
  public init() {}

  /// What to print in the place of elements.
  open var description: String { "\(type(of: self))" }
}
