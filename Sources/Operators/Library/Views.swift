import GraphIR
import TensorCore

// Views that keep the elements in their order: other sizes, or none at all.
extension OperatorLibrary {
  static let views = [
    view, viewCopy, viewDType, unsafeView, reshape, viewAs, reshapeAs, flatten, unflatten, ravel, alias, detach,
  ]

  /// The same elements in other sizes, without a copy; one size may be -1.
  public static let view = OperatorDefinition("view(Tensor(a) self, SymInt[] size) -> Tensor(a)", .view(reshaped))
    .viewInverse { _, source, mutated, _ in try mutated.reshape(source.sizes) }
    .derivative { try $0.gradient.reshape($0.sizes("self")) }

  /// A copy in other sizes, also where no view would do.
  public static let viewCopy = OperatorDefinition.decomposed(
    "view_copy(Tensor self, SymInt[] size) -> Tensor"
  ) { call in .reference(try call.tensor(0).reshape(call.symInts(1)).clone(memoryFormat: .contiguous)) }
  .derivative { try $0.gradient.reshape($0.sizes("self")) }

  /// The same memory as elements of another dtype: where those are smaller, several stand for one along the last dimension,
  /// and the other way round.
  public static let viewDType = OperatorDefinition(
    "view.dtype(Tensor(a) self, ScalarType dtype) -> Tensor(a)",
    .view { call in [try call.tensor(0).layout.reinterpreted(from: call.tensor(0).dtype, to: call.dtype(1), call)] }
  )
  .reinterpreting { try $0.dtype(1) }
  .viewInverse { _, source, mutated, _ in
    source.layout.isEmpty ? source : try mutated.contiguous().view(source.dtype)
  }
  .notDifferentiable()
  .copyVariant()

  /// `view` of a tensor that nothing else refers to, so that the result need not count as a view.
  public static let unsafeView = OperatorDefinition(
    "_unsafe_view(Tensor self, SymInt[] size) -> Tensor", .view(reshaped)
  )
  .decomposition { try view.call($0.arguments) }
  .derivative { try $0.gradient.reshape($0.sizes("self")) }

  private static let reshaped: OperatorDefinition.ViewRule = { call in
    let input = try call.tensor(0)
    let sizes = try call.inferredSizes(call.symInts(1), elementCount: input.layout.elementCount)
    guard let strides = input.layout.strides(viewedAs: sizes) else {
      throw OperatorError(
        .shape, call.target.name,
        "a tensor of sizes \(input.sizes) and strides \(input.strides) cannot be seen as \(sizes) without a copy; use reshape"
      )
    }
    return [Layout(sizes: sizes, strides: strides, offset: input.layout.offset)]
  }

  /// The same elements in other sizes: a view where that is possible, else a copy.
  public static let reshape = OperatorDefinition(
    "reshape(Tensor(a) self, SymInt[] shape) -> Tensor(a)",
    .composite { call in
      let input = try call.tensor(0)
      let wanted = try call.inferredSizes(call.symInts(1), elementCount: input.layout.elementCount)
      if input.layout.strides(viewedAs: wanted) != nil { return .reference(try input.view(wanted)) }
      return .reference(try unsafeView(.reference(input.clone(memoryFormat: .contiguous)), Value(wanted)))
    })

  public static let viewAs = OperatorDefinition(
    "view_as(Tensor(a) self, Tensor other) -> Tensor(a)",
    .composite { .reference(try $0.tensor(0).view($0.tensor(1).sizes)) })

  public static let reshapeAs = OperatorDefinition(
    "reshape_as(Tensor(a) self, Tensor other) -> Tensor(a)",
    .composite { .reference(try $0.tensor(0).reshape($0.tensor(1).sizes)) })

  /// Merges the dimensions from `start_dim` to `end_dim`.
  public static let flatten = OperatorDefinition(
    "flatten.using_ints(Tensor(a) self, int start_dim=0, int end_dim=-1) -> Tensor(a)",
    .composite { call in
      let input = try call.tensor(0)
      let first = try call.dimension(1, rank: input.rank)
      let last = try call.dimension(2, rank: input.rank)
      guard first <= last else {
        throw OperatorError(.argument, call.target.name, "start_dim \(first) must not come after end_dim \(last)")
      }
      if input.rank == 0 { return .reference(try input.reshape([1])) }
      if first == last { return .reference(input) }
      let merged = input.sizes[first...last].reduce(SymInt(1), *)
      return .reference(try input.reshape(input.sizes[..<first] + [merged] + input.sizes[(last + 1)...]))
    })

  /// Splits a dimension into several; one size may be -1.
  public static let unflatten = OperatorDefinition(
    "unflatten.int(Tensor(a) self, int dim, SymInt[] sizes) -> Tensor(a)",
    .composite { call in
      let input = try call.tensor(0)
      let dimension = try call.dimension(1, rank: input.rank)
      let wanted = try call.symInts(2)
      guard input.rank > 0, !wanted.isEmpty else {
        throw OperatorError(.argument, call.target.name, "sizes must not be empty, nor the tensor of rank 0")
      }
      let sizes = try call.inferredSizes(wanted, elementCount: input.sizes[dimension])
      return .reference(try input.view(input.sizes[..<dimension] + sizes + input.sizes[(dimension + 1)...]))
    })

  /// All elements in one dimension.
  public static let ravel = OperatorDefinition(
    "ravel(Tensor(a) self) -> Tensor(a)", .composite { .reference(try $0.tensor(0).contiguous().view([-1])) })

  /// The same tensor once more.
  public static let alias = OperatorDefinition(
    "alias(Tensor(a) self) -> Tensor(a)", .view { [try $0.tensor(0).layout] }
  )
  .viewInverse { _, _, mutated, _ in mutated }
  .derivative { $0.gradient }
  .copyVariant()

  /// The same elements, through which no gradient flows. The in-place variant ends the tensor's own history.
  public static let detach = OperatorDefinition(
    "detach(Tensor(a) self) -> Tensor(a)", .view { [try $0.tensor(0).layout] }
  )
  .decomposition { try alias.call($0.arguments) }
  .viewInverse { _, _, mutated, _ in mutated }
  .notDifferentiable()
  .inPlaceVariant()
  .copyVariant()
}

extension Call {
  /// Sizes with a -1 replaced by what the number of elements leaves for it.
  func inferredSizes(_ sizes: [SymInt], elementCount: SymInt) throws -> [SymInt] {
    let known = sizes.filter { $0 != -1 }
    let unknown = sizes.count - known.count
    guard unknown <= 1, !known.contains(where: { $0 < 0 }) else {
      throw OperatorError(.shape, target.name, "sizes \(sizes) may hold one -1 and no other negative number")
    }
    let product = known.reduce(SymInt(1), *)
    let fits = unknown == 0 ? product == elementCount : product != 0 && elementCount % product == 0
    guard fits else {
      throw OperatorError(.shape, target.name, "\(elementCount) elements do not fill sizes \(sizes)")
    }
    return unknown == 0 ? sizes : sizes.map { $0 == -1 ? elementCount / product : $0 }
  }
}

extension Layout {
  /// The layout of the same memory as elements of another dtype.
  fileprivate func reinterpreted(from old: DType, to new: DType, _ call: OperatorCall) throws -> Layout {
    let (size, newSize) = (old.byteCount, new.byteCount)
    if size == newSize { return self }
    guard rank > 0, strides[rank - 1] == 1 else {
      throw OperatorError(
        .shape, call.target.name,
        "elements of \(old) become elements of \(new) along a last dimension of stride 1, got sizes \(sizes), strides \(strides)"
      )
    }
    var result = self
    let last = rank - 1
    if size > newSize {
      let ratio = SymInt(size / newSize)
      result.sizes[last] *= ratio
      // The stride of a dimension of size 1 may be anything: it has no say.
      for dimension in 0..<last {
        result.strides[dimension] = SymInt(
          strides[dimension].value.multipliedReportingOverflow(by: ratio.value).partialValue)
      }
      result.offset *= ratio
    } else {
      let ratio = SymInt(newSize / size)
      guard ([sizes[last], offset] + strides[..<last]).allSatisfy({ $0 % ratio == 0 }) else {
        throw OperatorError(
          .shape, call.target.name,
          "the size of the last dimension, the other strides and the offset must be multiples of \(ratio) for elements of"
            + " \(old) to become elements of \(new), got sizes \(sizes), strides \(strides), offset \(offset)")
      }
      result.sizes[last] = sizes[last] / ratio
      for dimension in 0..<last { result.strides[dimension] = strides[dimension] / ratio }
      result.offset = offset / ratio
    }
    return result
  }

  /// Strides under which the same elements have other sizes; nil where that takes a copy.
  func strides(viewedAs wanted: [SymInt]) -> [SymInt]? {
    if isEmpty { return wanted == sizes ? strides : Layout.contiguousStrides(wanted) }
    var result = [SymInt](repeating: 1, count: wanted.count)
    var dimension = wanted.count - 1
    // Walk runs of input dimensions that are dense among themselves; wanted dimensions must tile each run exactly.
    var chunkStride = strides.last ?? 1
    var chunkCount: SymInt = 1
    var viewCount: SymInt = 1
    for old in sizes.indices.reversed() {
      chunkCount *= sizes[old]
      let endsChunk = old == 0 || (sizes[old - 1] != 1 && strides[old - 1] != chunkCount * chunkStride)
      guard endsChunk else { continue }
      while dimension >= 0 && (viewCount < chunkCount || wanted[dimension] == 1) {
        result[dimension] = viewCount * chunkStride
        viewCount *= wanted[dimension]
        dimension -= 1
      }
      if viewCount != chunkCount { return nil }
      if old > 0 {
        chunkStride = strides[old - 1]
        chunkCount = 1
        viewCount = 1
      }
    }
    // A tensor of rank 0 has one element; what remains can only be ones.
    while dimension >= 0 {
      if wanted[dimension] != 1 { return nil }
      dimension -= 1
    }
    return result
  }
}

extension Tensor {
  /// The same elements in other sizes, without a copy; one size may be -1.
  ///
  /// - Throws: `OperatorError` with code `shape` where the strides do not allow it; `reshape` then copies.
  public func view(_ sizes: [SymInt]) throws -> Tensor { try OperatorLibrary.view(.reference(self), Value(sizes)) }
  public func view(_ sizes: [Int]) throws -> Tensor { try view([SymInt](sizes)) }

  /// The same memory as elements of another dtype, without a copy.
  ///
  /// - Throws: `OperatorError` with code `shape` where elements of that size do not fit the strides.
  public func view(_ dtype: DType) throws -> Tensor { try OperatorLibrary.viewDType(.reference(self), .dtype(dtype)) }

  /// The same elements in other sizes: a view where that is possible, else a copy.
  public func reshape(_ sizes: [SymInt]) throws -> Tensor {
    try OperatorLibrary.reshape(.reference(self), Value(sizes))
  }
  public func reshape(_ sizes: [Int]) throws -> Tensor { try reshape([SymInt](sizes)) }

  public func view(as other: Tensor) throws -> Tensor { try view(other.sizes) }
  public func reshape(as other: Tensor) throws -> Tensor { try reshape(other.sizes) }

  /// Merges the dimensions from `start` to `end`, both included.
  public func flatten(from start: Int = 0, to end: Int = -1) throws -> Tensor {
    try OperatorLibrary.flatten(.reference(self), Value(start), Value(end))
  }

  /// Splits a dimension into several.
  public func unflatten(_ dimension: Int, into sizes: [SymInt]) throws -> Tensor {
    try OperatorLibrary.unflatten(.reference(self), Value(dimension), Value(sizes))
  }
  public func unflatten(_ dimension: Int, into sizes: [Int]) throws -> Tensor {
    try unflatten(dimension, into: [SymInt](sizes))
  }

  /// A view of all of this tensor.
  public func alias() throws -> Tensor { try OperatorLibrary.alias(.reference(self)) }

  /// The same elements in the same memory, out of autograd's sight.
  public func detach() throws -> Tensor { try OperatorLibrary.detach(.reference(self)) }

  /// Makes this tensor one that nothing led to: no gradient flows through it any more.
  @discardableResult
  public func detach_() throws -> Tensor { try OperatorLibrary.detach.inPlace(.reference(self)) }
}
