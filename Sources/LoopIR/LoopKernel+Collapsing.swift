import TensorCore

extension LoopKernel {
  /// The same kernel with as few dimensions as it can have, nested in memory order.
  ///
  /// Dimensions of size 1 go; outer dimensions, and reduced ones unless positions in them are asked for, are sorted by
  /// descending stride; neighbors that every access walks as one become one.
  public func collapsed() -> LoopKernel {
    let rank = sizes.count
    if rank == 0 { return self }
    let coordinates = usedCoordinates()
    let named = { (dimension: Int) in coordinates.contains(dimension) }
    let keepsReducedOrder = reductions.contains { $0.operation.givesPosition }

    var outer = outerSizes.indices.filter { outerSizes[$0] != 1 }
    var reduced = (outerSizes.count..<rank).filter { reducedSizes[$0 - outerSizes.count] != 1 }
    if outer.count > 1 { sortByStride(&outer) }
    if reduced.count > 1, !keepsReducedOrder { sortByStride(&reduced) }

    let outerGroups = merged(outer, named)
    let groups = outerGroups + merged(reduced, named)
    if groups.count == rank, groups.enumerated().allSatisfy({ $1 == [$0] }) { return self }

    let sizes = self.sizes
    var result = self
    result.outerSizes = outerGroups.map { $0.reduce(1) { $0 * sizes[$1] } }
    result.reducedSizes = groups[outerGroups.count...].map { $0.reduce(1) { $0 * sizes[$1] } }
    for i in loads.indices { result.loads[i].strides = groups.map { loads[i].strides[$0[$0.count - 1]] } }
    for i in stores.indices {
      let kept = stores[i].extent == .outer ? outerGroups : groups
      result.stores[i].access.strides = kept.map { stores[i].access.strides[$0[$0.count - 1]] }
    }
    if !coordinates.isEmpty {
      var renamed = [ScalarExpression](repeating: .constant(.int(0)), count: rank)
      for (index, group) in groups.enumerated() where group.count == 1 { renamed[group[0]] = .coordinate(index) }
      result.mapExpressions { expression in
        expression.mapLeaves { if case .coordinate(let dimension) = $0 { renamed[dimension] } else { $0 } }
      }
    }
    return result
  }

  private func usedCoordinates() -> Set<Int> {
    var used: Set<Int> = []
    forEachExpression { expression in
      expression.forEachLeaf { if case .coordinate(let dimension) = $0 { used.insert(dimension) } }
    }
    return used
  }

  private func sortByStride(_ dimensions: inout [Int]) {
    let keys = sizes.indices.map { dimension in
      loads.reduce(0) { $0 + abs($1.strides[dimension]) }
        + stores.reduce(0) { $0 + (dimension < $1.access.strides.count ? 2 * abs($1.access.strides[dimension]) : 0) }
    }
    dimensions.sort { keys[$0] != keys[$1] ? keys[$0] > keys[$1] : $0 < $1 }
  }

  /// Groups neighbors that every access walks with one stride.
  private func merged(_ dimensions: [Int], _ isNamed: (Int) -> Bool) -> [[Int]] {
    var groups: [[Int]] = []
    for dimension in dimensions {
      if let last = groups.last?.last, !isNamed(last), !isNamed(dimension), walksAsOne(last, dimension) {
        groups[groups.count - 1].append(dimension)
      } else {
        groups.append([dimension])
      }
    }
    return groups
  }

  private func walksAsOne(_ slow: Int, _ fast: Int) -> Bool {
    let size = fast < outerSizes.count ? outerSizes[fast] : reducedSizes[fast - outerSizes.count]
    func holds(_ strides: [Int]) -> Bool {
      fast >= strides.count || strides[slow] == strides[fast] * size
    }
    return loads.allSatisfy { holds($0.strides) } && stores.allSatisfy { holds($0.access.strides) }
  }
}

extension LoopKernel.Reduction.Operation {
  /// Whether the result is a position rather than a folded value.
  public var givesPosition: Bool { self == .argmin || self == .argmax }
}
