/// How a tensor's elements lie in its storage: sizes, strides and offset, all counted in elements.
public struct Layout: Hashable, Sendable {
  public var sizes: [SymInt]
  public var strides: [SymInt]
  public var offset: SymInt

  /// - Precondition: `sizes` and `strides` have the same count.
  public init(sizes: [SymInt], strides: [SymInt], offset: SymInt = 0) {
    precondition(sizes.count == strides.count, "a layout needs one stride per size")
    self.sizes = sizes
    self.strides = strides
    self.offset = offset
  }

  /// A dense row-major layout.
  public init(contiguous sizes: [SymInt], offset: SymInt = 0) {
    self.init(sizes: sizes, strides: Self.contiguousStrides(sizes), offset: offset)
  }

  public var rank: Int { sizes.count }

  public var elementCount: SymInt {
    var count: SymInt = 1
    for size in sizes { count *= size }
    return count
  }

  public var isEmpty: Bool { sizes.contains(0) }

  /// Strides of a dense row-major tensor; a size of 0 counts as 1, as in PyTorch.
  public static func contiguousStrides(_ sizes: [SymInt]) -> [SymInt] {
    var strides = [SymInt](repeating: 1, count: sizes.count)
    var stride: SymInt = 1
    for dimension in sizes.indices.reversed() {
      strides[dimension] = stride
      stride *= max(sizes[dimension], 1)
    }
    return strides
  }

  /// Whether elements stand densely in row-major order. Dimensions of size 1 have no say.
  public var isContiguous: Bool {
    if isEmpty { return true }
    var expected: SymInt = 1
    for dimension in sizes.indices.reversed() where sizes[dimension] != 1 {
      if strides[dimension] != expected { return false }
      expected *= sizes[dimension]
    }
    return true
  }

  /// The dimensions of size above 1, by descending stride; ties keep their order.
  public var dimensionsByStride: [Int] {
    sizes.indices.filter { sizes[$0] != 1 }.sorted { strides[$0] != strides[$1] ? strides[$0] > strides[$1] : $0 < $1 }
  }

  /// Whether every element has a place of its own and no place in the covered range is unused.
  public var isNonOverlappingAndDense: Bool {
    if isEmpty { return true }
    var expected: SymInt = 1
    for dimension in dimensionsByStride.reversed() {
      if strides[dimension] != expected { return false }
      expected *= sizes[dimension]
    }
    return true
  }

  /// Whether two different indices may name the same element (a sufficient test, exact for layouts that views give).
  public var mayOverlapItself: Bool {
    if isEmpty { return false }
    var reach: SymInt = 0
    for dimension in dimensionsByStride.reversed() {
      if strides[dimension] <= reach { return true }
      reach += (sizes[dimension] - 1) * strides[dimension]
    }
    return false
  }

  /// The first and one past the last storage element that the layout touches; empty layouts touch none.
  public var elementRange: Range<Int> {
    if isEmpty { return offset.value..<offset.value }
    var low = offset
    var high = offset
    for (size, stride) in zip(sizes, strides) {
      if stride < 0 { low += (size - 1) * stride } else { high += (size - 1) * stride }
    }
    return low.value..<(high.value + 1)
  }

  /// The bytes of the storage that the layout needs for elements of a type.
  ///
  /// - Throws: `TensorError` where a size is negative, an element would stand before the storage, or a number does not fit
  ///   into an `Int`.
  public func requiredByteCount(_ dtype: DType) throws(TensorError) -> Int {
    if let byteCount = requiredByteCount(itemBytes: dtype.byteCount) { return byteCount }
    throw TensorError(
      .invalidSize,
      "no memory can hold a \(dtype) tensor of sizes \(sizes), strides \(strides) and offset \(offset): "
        + "sizes and the first address must not be negative, nor the last address too large")
  }

  /// Calls `body` with the storage index of each element, in row-major order.
  public func forEachElementIndex(_ body: (Int) throws -> Void) rethrows {
    if isEmpty { return }
    if rank == 0 { return try body(offset.value) }
    let sizes = self.sizes.values
    let strides = self.strides.values
    var index = [Int](repeating: 0, count: rank)
    var position = offset.value
    while true {
      try body(position)
      var dimension = rank - 1
      while true {
        index[dimension] += 1
        position += strides[dimension]
        if index[dimension] < sizes[dimension] { break }
        position -= sizes[dimension] * strides[dimension]
        index[dimension] = 0
        if dimension == 0 { return }
        dimension -= 1
      }
    }
  }
}

/// The order of dimensions in memory, where an operator lets the caller choose.
public enum MemoryFormat: String, CaseIterable, Hashable, Sendable {
  case contiguous
  case preserve
  case channelsLast = "channels_last"
  case channelsLast3D = "channels_last_3d"
}
