import GraphIR

/// The ATen operators. Each is a `static let` in the file of its family, under its ATen name.
public enum OperatorLibrary {
  /// Every operator, in-place, `out` and copying variants included.
  public static let all: [OperatorDefinition] = families.flatMap { $0 }.flatMap(\.withVariants)

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
    trigonometric, specialFunctions, floatingPointParts, shifts,
    rmsNorms, instanceNorms, recurrentCells, recurrentLayers, flashAttention, embeddingBags, metadataReads,
    featureDropouts,
    resizing, quantization, unsafeIndexing, randomDistributions, multinomials,
    orderStatistics, extremumScans, searches, uniques, matmulComposites, outerProducts, contractions, einsums,
    crossProducts, differences,
    adaptiveMaxPooling, edgePadding, upsampling, gridSampling, patches, channelShuffles,
    logarithms, equality, exponentialUnits, shrinkActivations, gatedActivations, binaryLosses, rankingLosses,
    distributionLosses, distances, pairDistances, effects, scalarAssertions,
    weightNorms, marginLosses, affineGrids, shorthands, maxUnpooling, embeddingRenormalizations,
  ]

  /// The operator of a full name, such as `aten.add.Tensor`.
  ///
  /// - Throws: `OperatorError` where there is none.
  public static func named(_ name: String) throws -> OperatorDefinition {
    guard let name = OperatorName(name), let definition = table.lookup(name) as? OperatorDefinition else {
      throw OperatorError(.argument, nil, "there is no operator '\(name)'; names are such as 'aten.add.Tensor'")
    }
    return definition
  }

  /// Operators by name, for text forms.
  public static let table: any OperatorTable = Table(operators: definitions(all))

  /// Operators by name, operators of one's own and their variants among them, for text forms.
  ///
  /// - Throws: `OperatorError` where two have one name.
  public static func table(including custom: [OperatorDefinition]) throws -> any OperatorTable {
    var operators = definitions(all)
    for definition in custom.flatMap(\.withVariants).flatMap({ [$0] + $0.functionalVariants })
    where operators.updateValue(definition, forKey: definition.name) != nil {
      throw OperatorError(.argument, definition.name, "is defined twice")
    }
    return Table(operators: operators)
  }

  private static func definitions(_ definitions: [OperatorDefinition]) -> [OperatorName: any Operator] {
    var operators: [OperatorName: any Operator] = [GetItem.shared.name: GetItem.shared]
    for definition in definitions.flatMap({ [$0] + $0.functionalVariants }) {
      let previous = operators.updateValue(definition, forKey: definition.name)
      precondition(previous == nil, "\(definition.name) is defined twice")
    }
    return operators
  }

  private struct Table: OperatorTable {
    let operators: [OperatorName: any Operator]

    func lookup(_ name: OperatorName) -> (any Operator)? { operators[name] }
  }
}
