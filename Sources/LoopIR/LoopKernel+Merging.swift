import TensorCore

/// Limits that keep a fused kernel's tile registers in the first-level cache.
enum FusionLimit {
  static let loads = 20
  static let stores = 8
  /// Values that are named: a kernel is compiled from the last one back, each inside the one that uses it.
  static let locals = 64
}

extension LoopKernel {
  /// One kernel that does the work of two over the same iteration space: first this one's, then the other's.
  ///
  /// Where the other loads what this one stores, at the same element, it takes the value instead.
  ///
  /// - Returns: nil where the other needs an element that this one stores at another index, or would overwrite one that
  ///   another index still reads.
  func merged(with other: LoopKernel) -> LoopKernel? {
    guard (stores + other.stores).allSatisfy({ $0.mode == .assign && $0.access.indirections.isEmpty }) else {
      return nil
    }
    var result = self
    var shift = Renaming(locals: locals.count, reductions: reductions.count)
    var seenStores: [ScalarExpression?] = stores.map { _ in nil }
    for (number, load) in other.loads.enumerated() {
      if let producer = stores.firstIndex(where: { $0.access.buffer == load.buffer }) {
        let store = stores[producer]
        guard stores.filter({ $0.access.buffer == load.buffer }).count == 1, load.indirections.isEmpty,
          load.dtype == store.access.dtype, load.offset == store.access.offset,
          agree(load.strides, fullStrides(store))
        else { return nil }
        if seenStores[producer] == nil {
          let value = store.value.known(as: store.access.dtype)
          if value.isLeaf {
            seenStores[producer] = value
          } else {
            result.locals.append(value)
            seenStores[producer] = .local(result.locals.count - 1)
            result.stores[producer].value = .local(result.locals.count - 1)
          }
        }
        shift.loads[number] = seenStores[producer]
      } else if load.indirections.isEmpty, let known = result.loads.firstIndex(of: load) {
        shift.loads[number] = .load(known)
      } else {
        result.loads.append(load)
        shift.loads[number] = .load(result.loads.count - 1)
      }
    }
    shift.locals = result.locals.count
    // The indices of gathers are renamed once every load has its new number.
    for (number, load) in other.loads.enumerated() where !load.indirections.isEmpty {
      guard case .load(let new)? = shift.loads[number] else { continue }
      for j in load.indirections.indices {
        result.loads[new].indirections[j].index = shift.rename(load.indirections[j].index)
      }
    }
    result.locals += other.locals.map(shift.rename)
    result.reductions += other.reductions.map { Reduction($0.operation, shift.rename($0.value), dtype: $0.dtype) }
    for store in other.stores {
      if let old = result.stores.firstIndex(where: { $0.access.buffer == store.access.buffer }) {
        guard old < stores.count, result.stores[old].access == store.access, result.stores[old].extent == store.extent
        else { return nil }
        result.stores.remove(at: old)
        guard stores.filter({ $0.access.buffer == store.access.buffer }).count == 1 else { return nil }
      }
      var renamed = store
      renamed.value = shift.rename(store.value)
      result.stores.append(renamed)
    }
    guard result.loads.count <= FusionLimit.loads, result.stores.count <= FusionLimit.stores,
      result.locals.count <= FusionLimit.locals,
      result.readsOnlyWhatItWrites, !result.gathersByReduction
    else { return nil }
    return result
  }

  /// Whether a reduction tells which element is loaded: indices are checked before anything is computed.
  private var gathersByReduction: Bool {
    var reduced: Set<Int> = []
    func isReduced(_ expression: ScalarExpression) -> Bool {
      var found = false
      expression.forEachLeaf { leaf in
        switch leaf {
        case .reduced: found = true
        case .local(let index): found = found || reduced.contains(index)
        default: break
        }
      }
      return found
    }
    for (index, local) in locals.enumerated() where isReduced(local) { reduced.insert(index) }
    return loads.contains { $0.indirections.contains { isReduced($0.index) } }
  }

  /// Whether every load from a buffer that is also stored to reads, at each index, the element stored there.
  var readsOnlyWhatItWrites: Bool {
    for store in stores {
      for load in loads where load.buffer == store.access.buffer {
        guard load.indirections.isEmpty, store.access.indirections.isEmpty, load.dtype == store.access.dtype,
          load.offset == store.access.offset, agree(load.strides, fullStrides(store)), walk(store).isInjective
        else { return false }
      }
    }
    return true
  }

  /// Whether two walks over the iteration space are the same; dimensions of size 1 have no say.
  private func agree(_ a: [Int], _ b: [Int]) -> Bool {
    let sizes = self.sizes
    return sizes.indices.allSatisfy { sizes[$0] <= 1 || a[$0] == b[$0] }
  }

  /// The kernel with what it loads at one place replaced by the value that another stores there, and that one's loads.
  ///
  /// - Precondition: `producer` is pointwise and over this kernel's iteration space.
  func inlining(_ producer: LoopKernel, storing value: ScalarExpression, at number: Int) -> LoopKernel {
    var result = self
    var names = Renaming(locals: 0, reductions: 0)
    for (i, load) in producer.loads.enumerated() {
      if load.indirections.isEmpty, let known = result.loads.firstIndex(of: load) {
        names.loads[i] = .load(known)
      } else {
        result.loads.append(load)
        names.loads[i] = .load(result.loads.count - 1)
      }
    }
    for (i, load) in producer.loads.enumerated() where !load.indirections.isEmpty {
      guard case .load(let new)? = names.loads[i] else { continue }
      for j in load.indirections.indices {
        result.loads[new].indirections[j].index = names.rename(load.indirections[j].index)
      }
    }
    let value = value.known(as: loads[number].dtype)
    let added = producer.locals + (value.isLeaf ? [] : [value])
    let replacement = value.isLeaf ? names.rename(value) : .local(added.count - 1)
    let renamedProducerLoads = Set(
      producer.loads.indices.compactMap { i -> Int? in
        if case .load(let new)? = names.loads[i], new >= loads.count { new } else { nil }
      })
    // The producer's locals come first; this kernel's own move behind them.
    let own = Renaming(locals: added.count, reductions: 0, replacing: (number, replacement))
    for i in result.loads.indices where !renamedProducerLoads.contains(i) {
      for j in result.loads[i].indirections.indices {
        result.loads[i].indirections[j].index = own.rename(result.loads[i].indirections[j].index)
      }
    }
    result.locals = added.map(names.rename) + locals.map(own.rename)
    result.reductions = reductions.map { Reduction($0.operation, own.rename($0.value), dtype: $0.dtype) }
    for i in result.stores.indices {
      result.stores[i].value = own.rename(result.stores[i].value)
      for j in result.stores[i].access.indirections.indices {
        result.stores[i].access.indirections[j].index = own.rename(result.stores[i].access.indirections[j].index)
      }
    }
    return result
  }
}

/// New names for the leaves of expressions that move into another kernel.
private struct Renaming {
  /// Added to numbers of locals and reductions.
  var locals: Int
  var reductions: Int
  var loads: [Int: ScalarExpression] = [:]

  init(locals: Int, reductions: Int, replacing load: (Int, ScalarExpression)? = nil) {
    self.locals = locals
    self.reductions = reductions
    if let load { loads[load.0] = load.1 }
  }

  func rename(_ expression: ScalarExpression) -> ScalarExpression {
    expression.mapLeaves { leaf in
      switch leaf {
      case .load(let index): loads[index] ?? leaf
      case .local(let index): .local(index + locals)
      case .reduced(let index): .reduced(index + reductions)
      default: leaf
      }
    }
  }
}

extension ScalarExpression {
  /// Cast to a dtype, as storing and loading again would.
  func known(as dtype: DType) -> ScalarExpression {
    if case .cast(dtype, let inner) = self {
      // A load that has this dtype already needs no cast; its kernel made it one.
      return .cast(dtype, inner)
    }
    return .cast(dtype, self)
  }
}
