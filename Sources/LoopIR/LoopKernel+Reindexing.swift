import TensorCore

extension LoopKernel {
  var isPointwise: Bool { reductions.isEmpty && reducedSizes.isEmpty }

  /// Strides of a store over the whole iteration space: 0 along reduced dimensions where it is over the outer one.
  func fullStrides(_ store: Store) -> [Int] {
    store.extent == .outer ? store.access.strides + reducedSizes.map { _ in 0 } : store.access.strides
  }

  func walk(_ load: Access) -> BufferWalk { BufferWalk(sizes: sizes, strides: load.strides, offset: load.offset) }

  func walk(_ store: Store) -> BufferWalk {
    BufferWalk(
      sizes: store.extent == .outer ? outerSizes : sizes, strides: store.access.strides, offset: store.access.offset)
  }

  /// The kernel over the source space of a map, as outer dimensions.
  ///
  /// - Precondition: The kernel is pointwise, and the map's target is its iteration space.
  func reindexed(by map: IndexMap) -> LoopKernel {
    var result = self
    result.outerSizes = map.sourceSizes
    for i in result.loads.indices { result.loads[i].reindex(by: map) }
    for i in result.stores.indices { result.stores[i].access.reindex(by: map) }
    result.replaceCoordinates { dimension in
      var sum: ScalarExpression = .constant(.int(map.starts[dimension]))
      for (j, factor) in map.factors[dimension].enumerated() where factor != 0 {
        let term: ScalarExpression = factor == 1 ? .coordinate(j) : .coordinate(j) * .constant(.int(factor))
        sum = sum == .constant(.int(0)) ? term : sum + term
      }
      return .cast(.int64, sum)
    }
    return result
  }

  /// The kernel with one dimension cut in two, the inner one of this size.
  ///
  /// - Precondition: `inner` divides the dimension's size.
  func splitting(_ dimension: Int, inner: Int) -> LoopKernel {
    var result = self
    func split(_ sizes: inout [Int], _ at: Int) {
      sizes[at] /= inner
      sizes.insert(inner, at: at + 1)
    }
    if dimension < outerSizes.count {
      split(&result.outerSizes, dimension)
    } else {
      split(&result.reducedSizes, dimension - outerSizes.count)
    }
    func split(strides: inout [Int]) {
      guard dimension < strides.count else { return }
      let stride = strides[dimension]
      strides[dimension] = stride * inner
      strides.insert(stride, at: dimension + 1)
    }
    for i in result.loads.indices { split(strides: &result.loads[i].strides) }
    for i in result.stores.indices { split(strides: &result.stores[i].access.strides) }
    result.replaceCoordinates { other in
      if other < dimension { return .coordinate(other) }
      if other > dimension { return .coordinate(other + 1) }
      return .coordinate(dimension) * .constant(.int(inner)) + .coordinate(dimension + 1)
    }
    return result
  }

  /// The pointwise kernel with its dimensions in another order.
  func permuted(_ order: [Int]) -> LoopKernel {
    var result = self
    result.outerSizes = order.map { outerSizes[$0] }
    for i in loads.indices { result.loads[i].strides = order.map { loads[i].strides[$0] } }
    for i in stores.indices { result.stores[i].access.strides = order.map { stores[i].access.strides[$0] } }
    var place = order
    for (new, old) in order.enumerated() { place[old] = new }
    result.replaceCoordinates { .coordinate(place[$0]) }
    return result
  }

  /// The kernel without dimensions of size 1.
  func squeezed() -> LoopKernel {
    let sizes = self.sizes
    guard sizes.contains(1) else { return self }
    let kept = sizes.indices.filter { sizes[$0] != 1 }
    var result = self
    result.outerSizes.removeAll { $0 == 1 }
    result.reducedSizes.removeAll { $0 == 1 }
    for i in loads.indices { result.loads[i].strides = kept.map { loads[i].strides[$0] } }
    for i in stores.indices {
      let strides = stores[i].access.strides
      result.stores[i].access.strides = kept.filter { $0 < strides.count }.map { strides[$0] }
    }
    var place = [Int](repeating: -1, count: sizes.count)
    for (new, old) in kept.enumerated() { place[old] = new }
    result.replaceCoordinates { place[$0] < 0 ? .cast(.int64, .constant(.int(0))) : .coordinate(place[$0]) }
    return result
  }

  private mutating func replaceCoordinates(_ body: (Int) -> ScalarExpression) {
    guard usesCoordinates else { return }
    mapExpressions { expression in
      expression.mapLeaves { if case .coordinate(let dimension) = $0 { body(dimension) } else { $0 } }
    }
  }

  private var usesCoordinates: Bool {
    var found = false
    forEachExpression { $0.forEachLeaf { if case .coordinate = $0 { found = true } } }
    return found
  }
}

extension LoopKernel.Access {
  mutating func reindex(by map: IndexMap) {
    var new = [Int](repeating: 0, count: map.sourceSizes.count)
    for (i, stride) in strides.enumerated() {
      offset += map.starts[i] * stride
      for j in new.indices { new[j] += map.factors[i][j] * stride }
    }
    strides = new
  }
}
