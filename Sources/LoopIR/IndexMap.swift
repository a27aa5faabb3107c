/// An affine map from the indices of one iteration space to those of another.
struct IndexMap {
  /// For each dimension of the target space: a factor per dimension of the source space, and where it starts.
  var factors: [[Int]]
  var starts: [Int]
  /// Sizes of the source space.
  var sourceSizes: [Int]
}

/// A walk over the elements of a buffer: what a kernel's access is without its indirections.
struct BufferWalk {
  var sizes: [Int]
  var strides: [Int]
  var offset: Int

  /// Whether two indices never meet the same element (a sufficient test).
  var isInjective: Bool {
    let order = sizes.indices.filter { sizes[$0] > 1 }.sorted { abs(strides[$0]) < abs(strides[$1]) }
    var reach = 0
    for dimension in order {
      let stride = abs(strides[dimension])
      if stride <= reach { return false }
      reach += stride * (sizes[dimension] - 1)
    }
    return true
  }
}

extension IndexMap {
  enum Solution {
    case map(IndexMap)
    /// The source's dimension has to be split, the inner part having this size, for a map to exist.
    case split(dimension: Int, inner: Int)
    case none
  }

  /// For each index of `source`, the index at which `target` meets the same element.
  ///
  /// - Precondition: Neither walk is empty.
  static func solve(_ source: BufferWalk, _ target: BufferWalk) -> Solution {
    let order = target.sizes.indices.filter { target.sizes[$0] > 1 }
      .sorted { target.strides[$0] > target.strides[$1] }
    guard target.isInjective, order.allSatisfy({ target.strides[$0] > 0 }) else { return .none }
    let rank = source.sizes.count
    var factors = [[Int]](repeating: [Int](repeating: 0, count: rank), count: target.sizes.count)
    var starts = [Int](repeating: 0, count: target.sizes.count)
    var highs = starts

    // Dimensions walked backwards count from their other end.
    var offset = source.offset - target.offset
    for j in 0..<rank where source.strides[j] < 0 { offset += source.strides[j] * (source.sizes[j] - 1) }
    if offset < 0 { return .none }
    for i in order {
      starts[i] = offset / target.strides[i]
      highs[i] = starts[i]
      offset %= target.strides[i]
    }
    if offset != 0 { return .none }
    for j in 0..<rank where source.sizes[j] > 1 {
      var rest = abs(source.strides[j])
      for i in order {
        let factor = rest / target.strides[i]
        rest %= target.strides[i]
        if factor == 0 { continue }
        factors[i][j] = factor
        highs[i] += factor * (source.sizes[j] - 1)
      }
      if rest != 0 { return .none }
    }
    for i in target.sizes.indices where highs[i] >= target.sizes[i] {
      let contributors = (0..<rank).filter { factors[i][$0] != 0 }
      guard let j = contributors.last(where: { factors[i][$0] == 1 }), starts[i] == 0, target.sizes[i] > 1,
        source.sizes[j] > target.sizes[i], source.sizes[j] % target.sizes[i] == 0
      else { return .none }
      return .split(dimension: j, inner: target.sizes[i])
    }
    for j in 0..<rank where source.strides[j] < 0 {
      for i in target.sizes.indices where factors[i][j] != 0 {
        starts[i] += factors[i][j] * (source.sizes[j] - 1)
        factors[i][j] = -factors[i][j]
      }
    }
    return .map(IndexMap(factors: factors, starts: starts, sourceSizes: source.sizes))
  }
}
