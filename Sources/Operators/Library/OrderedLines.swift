import TensorCore

/// Where the elements of a tensor's lines along one dimension lie in its storage.
struct TensorLines {
  /// The first element of each line, in row-major order of the other dimensions.
  let starts: [Int]
  let step: Int
  let length: Int

  /// - Parameter dimension: nil makes every element a line of its own.
  init(_ tensor: Tensor, along dimension: Int?) {
    var rest = tensor.layout
    if let dimension, tensor.rank > 0 {
      step = tensor.strides[dimension].value
      length = tensor.shape[dimension]
      rest.sizes[dimension] = 1
    } else {
      step = 0
      length = 1
    }
    var starts: [Int] = []
    starts.reserveCapacity(rest.elementCount.value)
    rest.forEachElementIndex { starts.append($0) }
    self.starts = starts
  }

  /// The place in the storage of an element of a line.
  func place(_ line: Int, _ element: Int) -> Int { starts[line] + element * step }
}

/// An element of a line: where it stands in it, and a number that compares as the element's value does.
struct RankedElement: Comparable {
  /// Both zeros have one rank; every NaN has the highest, `nan`.
  var rank: Int
  var place: Int

  static let nan = Int.max

  /// Of equal elements, the earlier one comes first.
  static func < (a: RankedElement, b: RankedElement) -> Bool { a.rank != b.rank ? a.rank < b.rank : a.place < b.place }

  static func rank(_ value: Double) -> Int {
    if value.isNaN { return nan }
    if value == 0 { return 0 }
    // The bits of a negative number count away from zero.
    let bits = Int(Int64(bitPattern: value.bitPattern))
    return bits < 0 ? bits ^ Int.max : bits
  }
}

/// One line of a tensor, in memory that may be rearranged.
typealias RankedLine = UnsafeMutableBufferPointer<RankedElement>

extension RankedLine {
  /// Puts the `count` lowest elements in front, in order.
  func sortLowest(_ count: Int) {
    guard count > 0 else { return }
    if count < self.count { select(count - 1) }
    var lowest = RankedLine(rebasing: self[..<count])
    lowest.sort()
  }

  /// Puts the element that is at `place` in order there: none behind it is lower, none before it higher.
  func select(_ place: Int) {
    var (low, high) = (0, count - 1)
    while low < high {
      let (a, b, c) = (self[low], self[low + (high - low) / 2], self[high])
      let pivot = Swift.max(Swift.min(a, b), Swift.min(Swift.max(a, b), c))
      var (left, right) = (low, high)
      while left <= right {
        while self[left] < pivot { left += 1 }
        while pivot < self[right] { right -= 1 }
        guard left <= right else { break }
        swapAt(left, right)
        left += 1
        right -= 1
      }
      if place <= right {
        high = right
      } else if place >= left {
        low = left
      } else {
        return
      }
    }
  }
}

extension Tensor {
  /// Calls `body` with the number of each line along a dimension and its elements.
  ///
  /// - Parameter descending: Whether ranks fall where values rise, NaN then being the lowest.
  func forEachRankedLine(
    along dimension: Int, descending: Bool = false, _ body: (_ number: Int, _ line: RankedLine) throws -> Void
  ) throws {
    switch dtype {
    case .float64: try rankLines(Double.self, dimension, descending, body) { RankedElement.rank($0) }
    case .float32: try rankLines(Float.self, dimension, descending, body) { RankedElement.rank(Double($0)) }
    case .float16: try rankLines(Half.self, dimension, descending, body) { RankedElement.rank(Double(Float($0))) }
    case .bfloat16: try rankLines(BFloat16.self, dimension, descending, body) { RankedElement.rank(Double(Float($0))) }
    case .bool: try rankLines(UInt8.self, dimension, descending, body) { $0 == 0 ? 0 : 1 }
    case .uint8: try rankLines(UInt8.self, dimension, descending, body) { Int($0) }
    case .int8: try rankLines(Int8.self, dimension, descending, body) { Int($0) }
    case .int16: try rankLines(Int16.self, dimension, descending, body) { Int($0) }
    case .int32: try rankLines(Int32.self, dimension, descending, body) { Int($0) }
    case .int64: try rankLines(Int.self, dimension, descending, body) { $0 }
    }
  }

  @inline(__always)
  private func rankLines<Element: TensorElement>(
    _ type: Element.Type, _ dimension: Int, _ descending: Bool, _ body: (Int, RankedLine) throws -> Void,
    rank: (Element) -> Int
  ) throws {
    guard let elements = storage.baseAddress?.assumingMemoryBound(to: Element.self) else { return }
    let lines = TensorLines(self, along: dimension)
    let line = RankedLine.allocate(capacity: lines.length)
    defer { line.deallocate() }
    for number in lines.starts.indices {
      for place in 0..<lines.length {
        let rank = rank(elements[lines.place(number, place)])
        line.initializeElement(at: place, to: RankedElement(rank: descending ? ~rank : rank, place: place))
      }
      try body(number, line)
    }
  }

  /// Whether a rank is that of a NaN of this tensor, not descending.
  func isNaN(rank: Int) -> Bool { dtype.isFloatingPoint && rank == RankedElement.nan }

  /// Copies one element of a tensor of the same type, both named by their places in storage.
  func setElement(_ place: Int, to source: Tensor, _ sourcePlace: Int) {
    let size = dtype.byteCount
    guard let target = storage.baseAddress, let elements = source.storage.baseAddress else { return }
    (target + place * size).copyMemory(from: elements + sourcePlace * size, byteCount: size)
  }

  /// Writes an integer to a place in the storage of an int64 tensor.
  func setIndex(_ place: Int, to index: Int) {
    storage.baseAddress?.storeBytes(of: index, toByteOffset: place * MemoryLayout<Int>.size, as: Int.self)
  }

  // MARK: - For code below autograd

  /// A copy in row-major order, converted.
  func denseCopy(as dtype: DType) throws -> Tensor {
    let dense = try Tensor(uninitialized: Layout(contiguous: sizes), dtype: dtype)
    try EagerKernels.copy(self, to: dense)
    return dense
  }

  /// A copy of the elements in row-major order, in one dimension.
  func denseLine() throws -> Tensor {
    Tensor(
      unchecked: try denseCopy(as: dtype).storage, layout: Layout(contiguous: [SymInt(elementCount)]), dtype: dtype)
  }
}
