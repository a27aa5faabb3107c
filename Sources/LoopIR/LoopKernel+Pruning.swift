import TensorCore

extension LoopKernel {
  /// The kernel without loads, locals and reductions that no store needs, and without casts that change nothing.
  func pruned() -> LoopKernel {
    var result = self
    result.simplifyCasts()
    var usedLoads = [Bool](repeating: false, count: loads.count)
    var usedLocals = [Bool](repeating: false, count: locals.count)
    var usedReductions = [Bool](repeating: false, count: reductions.count)
    func mark(_ expression: ScalarExpression) {
      expression.forEachLeaf { leaf in
        switch leaf {
        case .load(let index) where !usedLoads[index]:
          usedLoads[index] = true
          for indirection in result.loads[index].indirections { mark(indirection.index) }
        case .local(let index) where !usedLocals[index]:
          usedLocals[index] = true
          mark(result.locals[index])
        case .reduced(let index) where !usedReductions[index]:
          usedReductions[index] = true
          mark(result.reductions[index].value)
        default: break
        }
      }
    }
    for store in result.stores {
      mark(store.value)
      for indirection in store.access.indirections { mark(indirection.index) }
    }
    if !(usedLoads + usedLocals + usedReductions).contains(false) { return result }
    let loadNames = Self.names(usedLoads)
    let localNames = Self.names(usedLocals)
    let reductionNames = Self.names(usedReductions)
    func kept<T>(_ elements: [T], _ used: [Bool]) -> [T] { zip(elements, used).filter(\.1).map(\.0) }
    result.loads = kept(result.loads, usedLoads)
    result.locals = kept(result.locals, usedLocals)
    result.reductions = kept(result.reductions, usedReductions)
    result.mapExpressions { expression in
      expression.mapLeaves { leaf in
        switch leaf {
        case .load(let index): .load(loadNames[index])
        case .local(let index): .local(localNames[index])
        case .reduced(let index): .reduced(reductionNames[index])
        default: leaf
        }
      }
    }
    return result
  }

  private static func names(_ used: [Bool]) -> [Int] {
    var next = 0
    return used.map { isUsed in
      defer { if isUsed { next += 1 } }
      return next
    }
  }

  /// A cast of a load or of another cast to the dtype that it has already goes; a local that is a leaf is that leaf.
  private mutating func simplifyCasts() {
    let loads = self.loads
    let reductions = self.reductions
    func dtype(_ expression: ScalarExpression) -> DType? {
      switch expression {
      case .load(let index): loads[index].dtype
      case .reduced(let index):
        reductions[index].operation.givesPosition ? .int64 : reductions[index].dtype
      case .cast(let dtype, _): dtype
      default: nil
      }
    }
    func simplified(_ expression: ScalarExpression) -> ScalarExpression {
      switch expression {
      case .load, .reduced, .local, .constant, .coordinate: return expression
      case .unary(let operation, let a): return .unary(operation, simplified(a))
      case .binary(let operation, let a, let b): return .binary(operation, simplified(a), simplified(b))
      case .select(let a, let b, let c): return .select(simplified(a), simplified(b), simplified(c))
      case .cast(let wanted, let a):
        let inner = simplified(a)
        return dtype(inner) == wanted ? inner : .cast(wanted, inner)
      }
    }
    var leaves: [Int: ScalarExpression] = [:]
    for i in locals.indices {
      locals[i] = simplified(locals[i].mapLeaves { Self.replaced($0, leaves) })
      if locals[i].isLeaf { leaves[i] = locals[i] }
    }
    let replacements = leaves
    mapExpressions { simplified($0.mapLeaves { Self.replaced($0, replacements) }) }
  }

  private static func replaced(
    _ leaf: ScalarExpression, _ replacements: [Int: ScalarExpression]
  ) -> ScalarExpression {
    if case .local(let index) = leaf, let replacement = replacements[index] { replacement } else { leaf }
  }
}
