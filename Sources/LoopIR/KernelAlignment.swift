import TensorCore

/// Brings two kernels, one after the other, to one iteration space, and merges them there.
struct KernelAlignment {
  /// A row of more elements does not stay in the cache between a reduction and what follows it.
  private static let longestRow = 65_536
  /// Fewer rows than this leave threads without work.
  private static let fewestRows = 8
  /// Less work than this needs no threads.
  private static let smallWork = 32_768

  private let earlier: LoopKernel
  private let later: LoopKernel

  init(_ earlier: LoopKernel, _ later: LoopKernel) {
    self.earlier = earlier
    self.later = later
  }

  /// The kernel that does both, or nil where there is none or it would be slower.
  func merged() -> LoopKernel? {
    if earlier.sizes.contains(0) || later.sizes.contains(0) { return nil }
    return switch (earlier.isPointwise, later.isPointwise) {
    case (true, true): mergedPointwise()
    case (true, false): mergedIntoReduction()
    case (false, true): mergedAfterReduction()
    case (false, false): mergedReductions()
    }
  }

  // MARK: The four cases

  private func mergedPointwise() -> LoopKernel? {
    guard earlier.outerCount == later.outerCount else { return nil }
    if let (earlier, later) = earlierOverLater() { return earlier.merged(with: later) }
    return earlier.outerSizes == later.outerSizes && shareLoad(earlier, later) ? earlier.merged(with: later) : nil
  }

  /// A pointwise kernel into a reduction over its whole space: its stores become full ones.
  private func mergedIntoReduction() -> LoopKernel? {
    let total = later.outerCount * later.reducedCount
    guard earlier.outerCount == total else { return nil }
    guard later.outerCount >= Self.fewestRows || total <= Self.smallWork else { return nil }
    guard let (moved, later) = earlierOverLater() else { return nil }
    return moved.overReducedSpace(of: later).merged(with: later)
  }

  private func mergedAfterReduction() -> LoopKernel? {
    if later.outerCount == earlier.outerCount, let merged = mergedEpilogue() { return merged }
    let total = earlier.outerCount * earlier.reducedCount
    guard later.outerCount == total, earlier.reducedCount <= Self.longestRow,
      earlier.outerCount >= Self.fewestRows || total <= Self.smallWork
    else { return nil }
    return mergedFullEpilogue() ?? mergedAfterFullStore()
  }

  /// Two reductions over equal spaces.
  private func mergedReductions() -> LoopKernel? {
    guard earlier.outerSizes == later.outerSizes, earlier.reducedSizes == later.reducedSizes else { return nil }
    let feeds = earlier.stores.contains { store in later.loads.contains { $0.buffer == store.access.buffer } }
    guard feeds || shareLoad(earlier, later) else { return nil }
    return earlier.merged(with: later)
  }

  // MARK: Alignment

  /// The earlier kernel over the later one's space: for each later index, the earlier one at which they meet an element
  /// that the one stores and the other loads, or, where there is no such buffer, that both load.
  private func earlierOverLater() -> (LoopKernel, LoopKernel)? {
    let stored = Set(earlier.stores.map(\.access.buffer))
    let feeds = later.loads.contains { stored.contains($0.buffer) }
    let meetings: [(buffer: BufferID, walk: BufferWalk)] =
      feeds
      ? earlier.stores.map { ($0.access.buffer, earlier.walk($0)) }
      : earlier.loads.filter(\.indirections.isEmpty).map { ($0.buffer, earlier.walk($0)) }
    var later = self.later
    var attempts = 4
    search: while attempts > 0 {
      attempts -= 1
      for load in later.loads where load.indirections.isEmpty {
        let source = later.walk(load)
        guard source.isInjective else { continue }
        for meeting in meetings where meeting.buffer == load.buffer {
          switch IndexMap.solve(source, meeting.walk) {
          case .none: continue
          case .split(let dimension, let inner):
            later = later.splitting(dimension, inner: inner)
            continue search
          case .map(let map): return (earlier.reindexed(by: map), later)
          }
        }
      }
      return nil
    }
    return nil
  }

  /// A pointwise kernel over a reduction's results: its stores become outer ones.
  private func mergedEpilogue() -> LoopKernel? {
    var earlier = self.earlier
    var attempts = 4
    search: while attempts > 0 {
      attempts -= 1
      for store in earlier.stores where store.extent == .outer {
        for load in later.loads where load.buffer == store.access.buffer && load.indirections.isEmpty {
          switch IndexMap.solve(earlier.walk(store), later.walk(load)) {
          case .none: continue
          case .split(let dimension, let inner):
            earlier = earlier.splitting(dimension, inner: inner)
            continue search
          case .map(let map):
            guard earlier.walk(store).isInjective else { continue }
            return earlier.merged(with: later.reindexed(by: map).overOuterSpace(of: earlier))
          }
        }
      }
      return nil
    }
    return nil
  }

  /// A pointwise kernel over the whole space that uses a reduction's results: each row's result at each of its elements.
  private func mergedFullEpilogue() -> LoopKernel? {
    for store in earlier.stores where store.extent == .outer {
      for load in later.loads where load.buffer == store.access.buffer && load.indirections.isEmpty {
        let outer = later.outerSizes.indices.filter { load.strides[$0] != 0 }
        let reduced = later.outerSizes.indices.filter { load.strides[$0] == 0 }
        let moved = later.permuted(outer + reduced)
        let rowSizes = reduced.map { later.outerSizes[$0] }
        guard let earlier = earlier.withReducedSizes(rowSizes) else { continue }
        let rows = BufferWalk(
          sizes: outer.map { later.outerSizes[$0] }, strides: outer.map { load.strides[$0] }, offset: load.offset)
        if let merged = merge(earlier, store, moved, rows) { return merged }
      }
    }
    return nil
  }

  private func merge(
    _ kernel: LoopKernel, _ store: LoopKernel.Store, _ later: LoopKernel, _ rows: BufferWalk
  ) -> LoopKernel? {
    var kernel = kernel
    var walk = kernel.walk(store)
    for _ in 0..<4 {
      guard walk.isInjective else { return nil }
      switch IndexMap.solve(walk, rows) {
      case .none: return nil
      case .split(let dimension, let inner):
        kernel = kernel.splitting(dimension, inner: inner)
        walk.sizes[dimension] /= inner
        walk.sizes.insert(inner, at: dimension + 1)
        walk.strides.insert(walk.strides[dimension], at: dimension + 1)
        walk.strides[dimension] *= inner
      case .map(let map):
        let full = map.extended(by: kernel.reducedSizes)
        return kernel.merged(with: later.reindexed(by: full).overReducedSpace(of: kernel))
      }
    }
    return nil
  }

  /// A pointwise kernel that reads what a row kernel stores over the whole space.
  private func mergedAfterFullStore() -> LoopKernel? {
    for store in earlier.stores where store.extent == .full {
      for load in later.loads where load.buffer == store.access.buffer && load.indirections.isEmpty {
        let source = earlier.walk(store)
        guard source.isInjective, case .map(let map) = IndexMap.solve(source, later.walk(load)) else { continue }
        return earlier.merged(with: later.reindexed(by: map).overReducedSpace(of: earlier))
      }
    }
    return nil
  }

  private func shareLoad(_ a: LoopKernel, _ b: LoopKernel) -> Bool {
    a.loads.contains { load in !load.strides.allSatisfy { $0 == 0 } && b.loads.contains(load) }
  }
}

extension IndexMap {
  /// The map on further dimensions, which go to themselves.
  fileprivate func extended(by sizes: [Int]) -> IndexMap {
    let count = sourceSizes.count
    var result = self
    result.sourceSizes += sizes
    for i in result.factors.indices { result.factors[i] += sizes.map { _ in 0 } }
    for i in sizes.indices {
      var own = [Int](repeating: 0, count: count + sizes.count)
      own[count + i] = 1
      result.factors.append(own)
      result.starts.append(0)
    }
    return result
  }
}

extension LoopKernel {
  /// The pointwise kernel, over the whole space of a reduction, as one with reduced dimensions and full stores.
  fileprivate func overReducedSpace(of kernel: LoopKernel) -> LoopKernel {
    var result = self
    result.outerSizes = kernel.outerSizes
    result.reducedSizes = kernel.reducedSizes
    return result
  }

  /// The pointwise kernel, over the outer space of a reduction, as one with reduced dimensions and outer stores.
  fileprivate func overOuterSpace(of kernel: LoopKernel) -> LoopKernel {
    var result = self
    result.outerSizes = kernel.outerSizes
    result.reducedSizes = kernel.reducedSizes
    let zeros = kernel.reducedSizes.map { _ in 0 }
    for i in result.loads.indices { result.loads[i].strides += zeros }
    for i in result.stores.indices { result.stores[i].extent = .outer }
    return result
  }

  /// The kernel with its one reduced dimension split into several, where these are not the sizes it has.
  fileprivate func withReducedSizes(_ sizes: [Int]) -> LoopKernel? {
    if reducedSizes == sizes { return self }
    guard reducedSizes.count == 1, sizes.reduce(1, *) == reducedSizes[0] else { return nil }
    var result = self
    for (i, size) in sizes.enumerated().dropLast() {
      let inner = sizes[(i + 1)...].reduce(1, *)
      guard size > 0, inner > 0 else { return nil }
      result = result.splitting(outerSizes.count + i, inner: inner)
    }
    return result
  }
}
