import TensorCore

/// Variants that are derived from whole definitions, each made once: operators are compared by identity.
struct DerivedVariants: Sendable {
  static let keyed = DerivedVariants()
  static let ordered = DerivedVariants()

  /// The originals are kept as well: identities stay theirs.
  private let known = Locked<[ObjectIdentifier: (original: OperatorDefinition, variant: OperatorDefinition)]>([:])

  func variant(
    of original: OperatorDefinition, _ make: (OperatorDefinition) -> OperatorDefinition
  ) -> OperatorDefinition {
    known.withLock { known in
      if let (_, variant) = known[ObjectIdentifier(original)] { return variant }
      let variant = make(original)
      known[ObjectIdentifier(original)] = (original, variant)
      return variant
    }
  }
}
