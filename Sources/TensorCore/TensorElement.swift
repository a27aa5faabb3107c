/// A Swift type that can be an element of a tensor.
public protocol TensorElement: BitwiseCopyable, Sendable {
  static var dtype: DType { get }
  /// The element at an address.
  static func load(from address: UnsafeRawPointer) -> Self
}

extension TensorElement {
  public static func load(from address: UnsafeRawPointer) -> Self { address.load(as: Self.self) }
}

extension Bool: TensorElement {
  public static var dtype: DType { .bool }
  // Views of other dtypes may show any byte.
  public static func load(from address: UnsafeRawPointer) -> Bool { address.load(as: UInt8.self) != 0 }
}
extension UInt8: TensorElement { public static var dtype: DType { .uint8 } }
extension Int8: TensorElement { public static var dtype: DType { .int8 } }
extension Int16: TensorElement { public static var dtype: DType { .int16 } }
extension Int32: TensorElement { public static var dtype: DType { .int32 } }
extension Int64: TensorElement { public static var dtype: DType { .int64 } }
extension Int: TensorElement { public static var dtype: DType { .int64 } }
extension Half: TensorElement { public static var dtype: DType { .float16 } }
extension BFloat16: TensorElement { public static var dtype: DType { .bfloat16 } }
extension Float: TensorElement { public static var dtype: DType { .float32 } }
extension Double: TensorElement { public static var dtype: DType { .float64 } }

extension Tensor {
  /// A dense tensor that holds `elements` in row-major order.
  ///
  /// - Throws: `TensorError` where the number of elements is not that of `shape`.
  public convenience init<Element: TensorElement>(_ elements: [Element], shape: [Int]) throws(TensorError) {
    let layout = Layout(contiguous: [SymInt](shape))
    let count = try layout.requiredByteCount(Element.dtype) / Element.dtype.byteCount
    guard elements.count == count else {
      throw TensorError(.invalidSize, "\(elements.count) elements do not fill a tensor of shape \(shape)")
    }
    try self.init(uninitialized: layout, dtype: Element.dtype)
    elements.withUnsafeBytes { source in
      if let address = source.baseAddress { storage.baseAddress?.copyMemory(from: address, byteCount: source.count) }
    }
  }

  /// A tensor of one dimension.
  public convenience init<Element: TensorElement>(_ elements: [Element]) throws(TensorError) {
    try self.init(elements, shape: [elements.count])
  }

  /// The elements in row-major order.
  ///
  /// - Throws: `TensorError` where `Element` is not the tensor's own type, or the tensor has no memory that the CPU can read.
  public func elements<Element: TensorElement>(as type: Element.Type = Element.self) throws(TensorError) -> [Element] {
    guard Element.dtype == dtype else {
      throw TensorError(.dtypeMismatch, "elements of a \(dtype) tensor were asked for as \(Element.dtype)")
    }
    guard device.kind == .cpu else {
      throw TensorError(.wrongDevice, "elements of a tensor on \(device) were asked for")
    }
    guard wrapperMeta == nil else {
      throw TensorError(
        .noMemory, "a tensor of a wrapper subclass has no elements of its own to read; read those of its inner tensors")
    }
    guard let base = storage.baseAddress else {
      throw TensorError(.noMemory, "a fake tensor has no elements to read")
    }
    if isContiguous && dtype != .bool {
      let address = base.assumingMemoryBound(to: Element.self)
      return Array(UnsafeBufferPointer(start: address + layout.offset.value, count: elementCount))
    }
    var result: [Element] = []
    result.reserveCapacity(elementCount)
    layout.forEachElementIndex { result.append(Element.load(from: base + $0 * dtype.byteCount)) }
    return result
  }
}
