import GraphIR

/// The ATen operators. Each is a `static let` in the file of its family, under its ATen name.
public enum OperatorLibrary {
  /// Every operator, in-place and copying variants included.
  public static let all: [OperatorDefinition] = families.flatMap { $0 }.flatMap {
    [$0, $0.inPlaceVariantDefinition, $0.copyVariantDefinition].compactMap(\.self)
  }

  // An operator that is missing here does not exist for text forms; a test compares the list with the schemas.
  private static let families: [[OperatorDefinition]] = [
    arithmetic, division, elementary, powers, rounding, extrema, comparison, logic, selection,
    activations, reductions, extremumReductions, softmaxes, creation, ranges, fills,
    piecewiseActivations, logSigmoids, products, variances, scans, randoms, dropouts, batchNorms,
    classLosses, crossEntropies, losses, layerNorms, groupNorms, norms, aliases,
    views, dimensionViews, partViews, splitViews, partScatters, copies, joining,
    padding, indexing, advancedIndexing, embeddings, sorting,
    matmuls, convolutions, maxPooling, averagePooling, adaptivePooling, attention,
    historyGrafts,
    scatters, indexedWrites, flatIndexing, diagonals, stacking, interleaving, reversing, triangleIndices,
  ]

  /// Operators by name, for text forms.
  public static let table: any OperatorTable = Table(all)

  private struct Table: OperatorTable {
    private let operators: [OperatorName: any Operator]

    init(_ definitions: [OperatorDefinition]) {
      var operators: [OperatorName: any Operator] = [GetItem.shared.name: GetItem.shared]
      for definition in definitions {
        let previous = operators.updateValue(definition, forKey: definition.name)
        precondition(previous == nil, "\(definition.name) is defined twice")
      }
      self.operators = operators
    }

    func lookup(_ name: OperatorName) -> (any Operator)? { operators[name] }
  }
}
