import GraphIR
import TensorCore

// Views of a part of a tensor.
extension OperatorLibrary {
  static let partViews = [selectInt, slice, narrow, narrowCopy, diagonal, unfold, asStrided]

  /// The elements at one index of a dimension, which goes away.
  public static let selectInt: OperatorDefinition = part(
    "select.int(Tensor(a) self, int dim, SymInt index) -> Tensor(a)", .select
  )
  .viewInverse { call, source, mutated, _ in try source.selectScatter(mutated, call.int(1), call.int(2)) }
  .derivative { d in try selectBackward(.reference(d.gradient), Value(d.sizes("self")), d["dim"], d["index"]) }
  .copyVariant()

  /// The elements of a dimension from `start` to before `end`, `step` apart; both are clamped to the dimension.
  public static let slice: OperatorDefinition = part(
    "slice.Tensor(Tensor(a) self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor(a)", .slice
  )
  .viewInverse { call, source, mutated, _ in
    try sliceScatter([.reference(source), .reference(mutated)] + call.arguments.dropFirst())
  }
  .derivative { d in
    let start = d["start"].isNone ? .int(0) : d["start"]
    let end = d["end"].isNone ? Value(Int.max) : d["end"]
    return try sliceBackward(.reference(d.gradient), Value(d.sizes("self")), d["dim"], start, end, d["step"])
  }
  .copyVariant()

  /// The diagonal of two dimensions, as a new last one.
  public static let diagonal: OperatorDefinition = part(
    "diagonal(Tensor(a) self, int offset=0, int dim1=0, int dim2=1) -> Tensor(a)", .diagonal
  )
  .viewInverse { call, source, mutated, _ in
    try diagonalScatter([.reference(source), .reference(mutated)] + call.arguments.dropFirst())
  }
  .derivative { d in
    try diagonalBackward(.reference(d.gradient), Value(d.sizes("self")), d["offset"], d["dim1"], d["dim2"])
  }
  .copyVariant()

  /// The windows of `size` elements, `step` apart, of a dimension; a new last dimension runs over each.
  public static let unfold: OperatorDefinition = part(
    "unfold(Tensor(a) self, int dimension, int size, int step) -> Tensor(a)", .unfold
  )
  .viewInverse { call, source, mutated, _ in
    // A dense copy of the source has places to scatter to, whatever the source's own strides.
    let source = try source.contiguous()
    let layout = try PartView.unfold.layout(of: source.layout, call, at: 1)
    guard !layout.mayOverlapItself else {
      throw OperatorError(
        .overlap, call.target.name, "a write through windows that overlap has no single meaning; clone before writing")
    }
    return try source.asStridedScatter(mutated, layout)
  }
  .derivative { d in
    try unfoldBackward(.reference(d.gradient), Value(d.sizes("self")), d["dimension"], d["size"], d["step"])
  }
  .copyVariant()

  /// The storage seen through any sizes and strides; without a storage offset, the tensor's own.
  public static let asStrided: OperatorDefinition = OperatorDefinition(
    "as_strided(Tensor(a) self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor(a)",
    .view { call in
      let input = try call.tensor(0)
      let layout = try PartView.asStrided.layout(of: input.layout, call, at: 1)
      _ = try layout.requiredByteCount(input.dtype)
      let available = input.storage.byteCount / input.dtype.byteCount
      guard layout.isEmpty || layout.elementRange.upperBound <= available else {
        throw OperatorError(
          .shape, call.target.name,
          "sizes \(layout.sizes), strides \(layout.strides), offset \(layout.offset) reach outside the storage's \(available) elements"
        )
      }
      return [layout]
    }
  )
  .viewInverse { call, source, mutated, _ in
    try asStridedScatter([.reference(source), .reference(mutated)] + call.arguments.dropFirst())
  }
  .derivative { d in
    // The gradient of the storage, seen through the strides of the input.
    let input = try d.tensor("self").layout
    let result = try PartView.asStrided.layout(of: input, d.call, at: 1)
    let count = Swift.max(input.elementRange.upperBound, result.elementRange.upperBound)
    let zeros = try d.gradient.newZeros([count])
    func places(_ layout: Layout) throws -> Tensor {
      try Tensor.arange(count).asStrided(layout.sizes, layout.strides, offset: layout.offset).reshape([-1])
    }
    var storage =
      result.mayOverlapItself
      ? try zeros.indexAdd(0, places(result), d.gradient.reshape([-1])) : try zeros.asStridedScatter(d.gradient, result)
    if input.mayOverlapItself {
      // Elements that share a place share its gradient.
      let places = try places(input)
      storage = try storage / zeros.indexAdd(0, places, d.gradient.newOnes(places.shape))
    }
    return try storage.asStrided(input.sizes, input.strides, offset: input.offset)
  }
  .inPlaceVariant()
  .copyVariant()

  /// `length` elements of a dimension from `start`.
  public static let narrow = OperatorDefinition(
    "narrow(Tensor(a) self, int dim, SymInt start, SymInt length) -> Tensor(a)",
    .composite { call in
      let (dimension, range) = try narrowed(call)
      return .reference(try call.tensor(0).slice(dimension, from: range.lowerBound, to: range.upperBound))
    })

  /// A copy of what `narrow` gives.
  public static let narrowCopy = OperatorDefinition.decomposed(
    "narrow_copy(Tensor self, int dim, SymInt start, SymInt length) -> Tensor"
  ) { call in
    let (dimension, range) = try narrowed(call)
    let part = try call.tensor(0).slice(dimension, from: range.lowerBound, to: range.upperBound)
    return .reference(try part.clone(memoryFormat: .contiguous))
  }
  .derivative { d in
    let (dimension, range) = try narrowed(d.call)
    return try sliceBackward(
      .reference(d.gradient), Value(d.sizes("self")), Value(dimension), Value(range.lowerBound),
      Value(range.upperBound), .int(1))
  }

  /// What a call of `narrow` leaves of a dimension.
  private static func narrowed(_ call: OperatorCall) throws -> (dimension: Int, range: Range<Int>) {
    let input = try call.tensor(0)
    let dimension = try call.dimension(1, rank: input.rank)
    let (first, length) = (try call.int(2), try call.int(3))
    let size = input.rank == 0 ? 1 : input.shape[dimension]
    let start = first < 0 ? first + size : first
    guard input.rank > 0, (0...size).contains(start), (0...(size - start)).contains(length) else {
      throw OperatorError(
        .index, call.target.name,
        "start \(first) and length \(length) do not lie in dimension \(dimension) of sizes \(input.sizes)")
    }
    return (dimension, start..<(start + length))
  }

  private static func part(_ schema: String, _ part: PartView) -> OperatorDefinition {
    OperatorDefinition(schema, .view { call in [try part.layout(of: call.tensor(0).layout, call, at: 1)] })
  }
}

/// A part of a layout, as the arguments of a call from some position on say: shared by the view, by the operator that
/// writes into that part of a copy, and by the one that places a gradient there.
enum PartView: Sendable {
  /// dim, index
  case select
  /// dim, start, end, step
  case slice
  /// offset, dim1, dim2
  case diagonal
  /// dimension, size, step
  case unfold
  /// size, stride, storage_offset
  case asStrided

  func layout<Reference>(of layout: Layout, _ call: Call<Reference>, at position: Int) throws -> Layout {
    switch self {
    case .select: try select(layout, call, position)
    case .slice: try slice(layout, call, position)
    case .diagonal: try diagonal(layout, call, position)
    case .unfold: try unfold(layout, call, position)
    case .asStrided: try asStrided(layout, call, position)
    }
  }

  private func select<Reference>(_ layout: Layout, _ call: Call<Reference>, _ position: Int) throws -> Layout {
    guard layout.rank > 0 else {
      throw OperatorError(.shape, call.target.name, "a tensor without dimensions has no index to select")
    }
    let dimension = try call.dimension(position, rank: layout.rank)
    let (size, index) = (layout.sizes[dimension].value, try call.int(position + 1))
    guard (-size..<size).contains(index) else {
      throw OperatorError(
        .index, call.target.name, "index \(index) is out of range for dimension \(dimension) of size \(size)")
    }
    var result = layout
    result.offset += SymInt(index < 0 ? index + size : index) * layout.strides[dimension]
    result.sizes.remove(at: dimension)
    result.strides.remove(at: dimension)
    return result
  }

  private func slice<Reference>(_ layout: Layout, _ call: Call<Reference>, _ position: Int) throws -> Layout {
    guard layout.rank > 0 else {
      throw OperatorError(.shape, call.target.name, "a tensor without dimensions cannot be sliced")
    }
    let dimension = try call.dimension(position, rank: layout.rank)
    let size = layout.sizes[dimension].value
    let step = try call.int(position + 3)
    guard step > 0 else {
      throw OperatorError(.argument, call.target.name, "argument 'step' must be positive, got \(step)")
    }
    func clamped(_ index: Int) -> Int { min(max(index < 0 ? index + size : index, 0), size) }
    let start = clamped(try call.optionalInt(position + 1) ?? 0)
    let end = max(clamped(try call.optionalInt(position + 2) ?? size), start)
    var result = layout
    result.offset += SymInt(start) * layout.strides[dimension]
    result.sizes[dimension] = SymInt((end - start) / step + ((end - start) % step == 0 ? 0 : 1))
    result.strides[dimension] = try stride(layout.strides[dimension], times: step, call)
    return result
  }

  private func stride<Reference>(_ stride: SymInt, times step: Int, _ call: Call<Reference>) throws -> SymInt {
    let (product, overflow) = stride.value.multipliedReportingOverflow(by: step)
    guard !overflow else {
      throw OperatorError(.argument, call.target.name, "argument 'step' is more than any memory holds: \(step)")
    }
    return SymInt(product)
  }

  private func diagonal<Reference>(_ layout: Layout, _ call: Call<Reference>, _ position: Int) throws -> Layout {
    let offset = try call.int(position)
    let rows = try call.dimension(position + 1, rank: layout.rank)
    let columns = try call.dimension(position + 2, rank: layout.rank)
    guard rows != columns else {
      throw OperatorError(.argument, call.target.name, "dim1 and dim2 must differ, both are \(rows)")
    }
    let (rowCount, columnCount) = (layout.sizes[rows].value, layout.sizes[columns].value)
    let count = Swift.max(offset >= 0 ? min(rowCount, columnCount - offset) : min(rowCount + offset, columnCount), 0)
    var result = layout
    if count > 0 {
      result.offset += SymInt(abs(offset)) * layout.strides[offset >= 0 ? columns : rows]
    }
    for dimension in [max(rows, columns), min(rows, columns)] {
      result.sizes.remove(at: dimension)
      result.strides.remove(at: dimension)
    }
    result.sizes.append(SymInt(count))
    result.strides.append(layout.strides[rows] + layout.strides[columns])
    return result
  }

  private func unfold<Reference>(_ layout: Layout, _ call: Call<Reference>, _ position: Int) throws -> Layout {
    let dimension = try call.dimension(position, rank: layout.rank)
    let (window, step) = (try call.int(position + 1), try call.int(position + 2))
    let size = layout.rank == 0 ? 1 : layout.sizes[dimension].value
    guard (0...size).contains(window), step > 0 else {
      throw OperatorError(
        .argument, call.target.name,
        "size must lie in 0...\(size), the size of dimension \(dimension), and step be positive; got \(window) and \(step)"
      )
    }
    var result = layout
    if layout.rank > 0 {
      result.sizes[dimension] = SymInt((size - window) / step + 1)
      result.strides[dimension] = try stride(layout.strides[dimension], times: step, call)
    }
    result.sizes.append(SymInt(window))
    result.strides.append(layout.rank == 0 ? 1 : layout.strides[dimension])
    return result
  }

  private func asStrided<Reference>(_ layout: Layout, _ call: Call<Reference>, _ position: Int) throws -> Layout {
    let (sizes, strides) = (try call.symInts(position), try call.symInts(position + 1))
    let offset = try call.optionalInt(position + 2).map { SymInt($0) } ?? layout.offset
    guard sizes.count == strides.count else {
      throw OperatorError(.argument, call.target.name, "needs one stride per size, got \(strides) for \(sizes)")
    }
    guard !(sizes + strides).contains(where: { $0 < 0 }), offset >= 0 else {
      throw OperatorError(
        .argument, call.target.name,
        "sizes, strides and offset must not be negative, got \(sizes), \(strides), \(offset)")
    }
    let result = Layout(sizes: sizes, strides: strides, offset: offset)
    _ = try result.requiredByteCount(.uint8)
    return result
  }
}

extension Tensor {
  /// The elements at one index of a dimension, which goes away; negative ones count from the end.
  public func select(_ dimension: Int, _ index: Int) throws -> Tensor {
    try OperatorLibrary.selectInt(.reference(self), Value(dimension), Value(index))
  }

  /// The elements of a dimension from `start` to before `end`, `step` apart.
  public func slice(_ dimension: Int = 0, from start: Int? = nil, to end: Int? = nil, step: Int = 1) throws -> Tensor {
    try OperatorLibrary.slice(
      .reference(self), Value(dimension), start.map { Value($0) } ?? .none, end.map { Value($0) } ?? .none, Value(step))
  }

  /// `length` elements of a dimension from `start`.
  public func narrow(_ dimension: Int, from start: Int, length: Int) throws -> Tensor {
    try OperatorLibrary.narrow(.reference(self), Value(dimension), Value(start), Value(length))
  }

  public func diagonal(offset: Int = 0, _ rows: Int = 0, _ columns: Int = 1) throws -> Tensor {
    try OperatorLibrary.diagonal(.reference(self), Value(offset), Value(rows), Value(columns))
  }

  /// The windows of `size` elements, `step` apart, of a dimension; a new last dimension runs over each.
  public func unfold(_ dimension: Int, size: Int, step: Int) throws -> Tensor {
    try OperatorLibrary.unfold(.reference(self), Value(dimension), Value(size), Value(step))
  }

  /// The storage seen through any sizes and strides; without an offset, this tensor's own.
  public func asStrided(_ sizes: [SymInt], _ strides: [SymInt], offset: SymInt? = nil) throws -> Tensor {
    try OperatorLibrary.asStrided(.reference(self), Value(sizes), Value(strides), offset.map { .int($0) } ?? .none)
  }
  public func asStrided(_ sizes: [Int], _ strides: [Int], offset: Int? = nil) throws -> Tensor {
    try asStrided([SymInt](sizes), [SymInt](strides), offset: offset.map { SymInt($0) })
  }

  /// The part at an index of the first dimension.
  public subscript(index: Int) -> Tensor {
    get throws { try select(0, index) }
  }

  /// The part in a range of indices of the first dimension.
  public subscript(range: Range<Int>) -> Tensor {
    get throws { try slice(0, from: range.lowerBound, to: range.upperBound) }
  }
}
