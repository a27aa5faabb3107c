extension Tensor: CustomStringConvertible {
  /// The elements, nested by dimension, and the type: `tensor([[1.0, 2.0], [3.0, 4.0]], float32)`.
  ///
  /// A dimension of more than eight shows its first and last three. A tensor without readable memory shows its sizes alone, one
  /// of a wrapper subclass its inner tensors.
  public var description: String {
    if let wrapperMeta { return wrapperMeta.description }
    guard let base = storage.baseAddress, device.kind == .cpu else {
      return "tensor(\(isFake ? "fake" : "on \(device)"), sizes \(sizes), \(dtype))"
    }
    return layout.isEmpty
      ? "tensor([], sizes \(sizes), \(dtype))"
      : "tensor(\(elements(from: 0, at: layout.offset.value, base)), \(dtype))"
  }

  private func elements(from dimension: Int, at position: Int, _ base: UnsafeMutableRawPointer) -> String {
    guard dimension < rank else { return element(at: position, base) }
    let (size, stride) = (sizes[dimension].value, strides[dimension].value)
    let shown = size > 8 ? Array(0..<3) + Array((size - 3)..<size) : Array(0..<size)
    var parts = shown.map { elements(from: dimension + 1, at: position + $0 * stride, base) }
    if size > 8 { parts.insert("…", at: 3) }
    return "[\(parts.joined(separator: ", "))]"
  }

  private func element(at position: Int, _ base: UnsafeMutableRawPointer) -> String {
    func load<Element: TensorElement>(_ type: Element.Type) -> Element {
      .load(from: base + position * dtype.byteCount)
    }
    return switch dtype {
    case .bool: "\(load(Bool.self))"
    case .uint8: "\(load(UInt8.self))"
    case .int8: "\(load(Int8.self))"
    case .int16: "\(load(Int16.self))"
    case .int32: "\(load(Int32.self))"
    case .int64: "\(load(Int64.self))"
    case .float16: "\(Float(load(Half.self)))"
    case .bfloat16: "\(Float(load(BFloat16.self)))"
    case .float32: "\(load(Float.self))"
    case .float64: "\(load(Double.self))"
    }
  }
}
