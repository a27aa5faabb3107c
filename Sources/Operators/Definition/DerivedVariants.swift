import TensorCore

/// Variants that are derived from whole definitions, each made once: operators are compared by identity.
struct DerivedVariants: Sendable {
  static let keyed = DerivedVariants()
  static let ordered = DerivedVariants()

  // A variant keeps its original, whose identity stays its own.
  private let known = Locked<[ObjectIdentifier: OperatorDefinition]>([:])

  func variant(
    of original: OperatorDefinition, _ make: (OperatorDefinition) -> OperatorDefinition
  ) -> OperatorDefinition {
    known.withLock { known in
      if let variant = known[ObjectIdentifier(original)] { return variant }
      let variant = make(original)
      known[ObjectIdentifier(original)] = variant
      return variant
    }
  }
}
