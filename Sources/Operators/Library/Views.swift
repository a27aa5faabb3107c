import GraphIR
import TensorCore

extension OperatorLibrary {
  static let views = [view, expand, unsqueeze]

  /// The same elements in other sizes, without a copy; one size may be -1.
  public static let view = OperatorDefinition(
    "view(Tensor(a) self, SymInt[] size) -> Tensor(a)",
    .view { call in
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
  )
  .derivative { try $0.gradient.reshape($0.sizes("self")) }

  /// Dimensions of size 1 stretched, and new ones added in front, by a stride of 0; -1 keeps a size.
  public static let expand = OperatorDefinition(
    "expand(Tensor(a) self, SymInt[] size, *, bool implicit=False) -> Tensor(a)",
    .view { call in
      let input = try call.tensor(0)
      let wanted = try call.symInts(1)
      let added = wanted.count - input.rank
      guard added >= 0 else {
        throw OperatorError(.shape, call.target.name, "sizes \(wanted) are fewer than the tensor's \(input.sizes)")
      }
      var layout = Layout(sizes: wanted, strides: wanted.map { _ in 0 }, offset: input.layout.offset)
      for dimension in wanted.indices {
        guard dimension >= added else {
          if wanted[dimension] < 0 {
            throw OperatorError(.shape, call.target.name, "size -1 is not allowed in the new dimension \(dimension)")
          }
          continue
        }
        let size = input.sizes[dimension - added]
        if wanted[dimension] == -1 { layout.sizes[dimension] = size }
        if layout.sizes[dimension] == size {
          layout.strides[dimension] = input.strides[dimension - added]
        } else if size != 1 {
          throw OperatorError(
            .shape, call.target.name,
            "size \(size) at dimension \(dimension - added) cannot be expanded to \(wanted[dimension])")
        }
      }
      return [layout]
    }
  )
  .derivative { try $0.gradient.summed(to: $0.sizes("self")) }

  public static let unsqueeze = OperatorDefinition(
    "unsqueeze(Tensor(a) self, int dim) -> Tensor(a)",
    .view { call in
      let input = try call.tensor(0)
      let dimension = try call.dimension(1, rank: input.rank + 1)
      var layout = input.layout
      let stride = dimension < input.rank ? input.sizes[dimension] * input.strides[dimension] : 1
      layout.sizes.insert(1, at: dimension)
      layout.strides.insert(stride, at: dimension)
      return [layout]
    }
  )
  .derivative { d in try d.gradient.sum([d.call.dimension(1, rank: d.gradient.rank)]) }
}

extension Call {
  /// Sizes with a -1 replaced by what the number of elements leaves for it.
  func inferredSizes(_ sizes: [SymInt], elementCount: SymInt) throws -> [SymInt] {
    let known = sizes.filter { $0 != -1 }
    let unknown = sizes.count - known.count
    let product = known.reduce(SymInt(1), *)
    guard unknown <= 1, !known.contains(where: { $0 < 0 }) else {
      throw OperatorError(.shape, target.name, "sizes \(sizes) may hold one -1 and no other negative number")
    }
    let fits = unknown == 0 ? product == elementCount : product != 0 && elementCount % product == 0
    guard fits else {
      throw OperatorError(.shape, target.name, "\(elementCount) elements do not fill sizes \(sizes)")
    }
    return unknown == 0 ? sizes : sizes.map { $0 == -1 ? elementCount / product : $0 }
  }
}

extension Layout {
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
  public func view(_ sizes: [SymInt]) throws -> Tensor { try OperatorLibrary.view(.reference(self), Value(sizes)) }
  public func expand(_ sizes: [SymInt]) throws -> Tensor { try OperatorLibrary.expand(.reference(self), Value(sizes)) }
  public func unsqueeze(_ dimension: Int) throws -> Tensor {
    try OperatorLibrary.unsqueeze(.reference(self), .int(SymInt(dimension)))
  }

  /// The elements in other sizes: a view where that is possible, else a copy.
  public func reshape(_ sizes: [SymInt]) throws -> Tensor {
    let call = OperatorCall(OperatorLibrary.view, [])
    let wanted = try call.inferredSizes(sizes, elementCount: layout.elementCount)
    if wanted == self.sizes { return self }
    return try layout.strides(viewedAs: wanted) != nil ? view(wanted) : contiguous().view(wanted)
  }
}
