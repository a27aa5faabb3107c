import TensorCore

extension ScalarExpression {
  public var children: [ScalarExpression] {
    switch self {
    case .load, .reduced, .local, .constant, .coordinate: []
    case .unary(_, let a), .cast(_, let a): [a]
    case .binary(_, let a, let b): [a, b]
    case .select(let a, let b, let c): [a, b, c]
    }
  }

  /// Whether the expression is a leaf: a name or a number.
  public var isLeaf: Bool {
    switch self {
    case .load, .reduced, .local, .constant, .coordinate: true
    default: false
    }
  }

  /// Calls `body` with every leaf, left to right.
  public func forEachLeaf(_ body: (ScalarExpression) -> Void) {
    switch self {
    case .load, .reduced, .local, .constant, .coordinate: body(self)
    case .unary(_, let a), .cast(_, let a): a.forEachLeaf(body)
    case .binary(_, let a, let b):
      a.forEachLeaf(body)
      b.forEachLeaf(body)
    case .select(let a, let b, let c):
      a.forEachLeaf(body)
      b.forEachLeaf(body)
      c.forEachLeaf(body)
    }
  }

  /// The number of the leftmost load among the leaves.
  public var firstLoad: Int? {
    if case .load(let number) = self { return number }
    return children.lazy.compactMap(\.firstLoad).first
  }

  /// The expression with every leaf replaced by what `body` makes of it.
  public func mapLeaves(_ body: (ScalarExpression) -> ScalarExpression) -> ScalarExpression {
    switch self {
    case .load, .reduced, .local, .constant, .coordinate: body(self)
    case .unary(let operation, let a): .unary(operation, a.mapLeaves(body))
    case .cast(let dtype, let a): .cast(dtype, a.mapLeaves(body))
    case .binary(let operation, let a, let b): .binary(operation, a.mapLeaves(body), b.mapLeaves(body))
    case .select(let a, let b, let c): .select(a.mapLeaves(body), b.mapLeaves(body), c.mapLeaves(body))
    }
  }

  /// A rough count of additions that evaluating the expression costs; leaves are free.
  public var cost: Int {
    switch self {
    case .load, .reduced, .local, .constant, .coordinate: 0
    case .cast(_, let a): 1 + a.cost
    case .unary(let operation, let a): operation.cost + a.cost
    case .binary(let operation, let a, let b): operation.cost + a.cost + b.cost
    case .select(let a, let b, let c): 1 + a.cost + b.cost + c.cost
    }
  }
}

extension UnaryOperation {
  fileprivate var cost: Int {
    switch self {
    case .negate, .absolute, .sign, .logicalNot, .bitwiseNot, .isNaN: 1
    case .floor, .ceil, .round, .truncate, .reciprocal, .sqrt, .rsqrt: 3
    case .exp, .log, .sin, .cos, .tanh, .sigmoid, .erf: 12
    case .exp2, .expm1, .log1p, .log2, .log10, .tan, .asin, .acos, .atan, .sinh, .cosh, .asinh, .acosh, .atanh: 20
    case .erfc, .ndtr: 30
    case .erfinv, .lgamma, .digamma: 60
    }
  }
}

extension BinaryOperation {
  fileprivate var cost: Int {
    switch self {
    case .divide: 3
    case .floorDivide, .remainder, .truncatedRemainder: 8
    case .atan2, .hypot: 20
    case .power: 30
    case .polygamma: 60
    default: 1
    }
  }
}

extension LoopKernel {
  /// Every expression of the kernel: locals, reductions, stored values, indices of gathers and scatters.
  public func forEachExpression(_ body: (ScalarExpression) -> Void) {
    for load in loads { for indirection in load.indirections { body(indirection.index) } }
    for local in locals { body(local) }
    for reduction in reductions { body(reduction.value) }
    for store in stores {
      body(store.value)
      for indirection in store.access.indirections { body(indirection.index) }
    }
  }

  /// Replaces every expression by what `transform` makes of it.
  public mutating func mapExpressions(_ transform: (ScalarExpression) -> ScalarExpression) {
    for i in loads.indices {
      for j in loads[i].indirections.indices {
        loads[i].indirections[j].index = transform(loads[i].indirections[j].index)
      }
    }
    for i in locals.indices { locals[i] = transform(locals[i]) }
    for i in reductions.indices { reductions[i].value = transform(reductions[i].value) }
    for i in stores.indices {
      stores[i].value = transform(stores[i].value)
      for j in stores[i].access.indirections.indices {
        stores[i].access.indirections[j].index = transform(stores[i].access.indirections[j].index)
      }
    }
  }

  public var outerCount: Int { outerSizes.reduce(1, *) }
  public var reducedCount: Int { reducedSizes.reduce(1, *) }
  /// Sizes of the whole iteration space, outer dimensions first.
  public var sizes: [Int] { outerSizes + reducedSizes }
}
