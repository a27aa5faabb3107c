import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Gives the caller outputs that share memory as the eager function's do: the input itself, views of inputs, views of one
/// intermediate value. The views are made anew on the real tensors, so autograd knows them as views.
///
/// It also makes the calls that gave inputs another layout, such as `t_`: views start from the layout before or after them.
public struct OutputRegeneration: RuntimeWrapper {
  public static let name = "output alias regeneration"

  private let outputCount: Int
  private let hiddenOutputCount: Int
  private let beforeWrites: [RegeneratedOutput]
  private let afterWrites: [RegeneratedOutput]
  private let afterLayoutChanges: [RegeneratedOutput]
  private let afterStorageChanges: [RegeneratedOutput]
  private let requiringLeaves: [Int]
  /// Inputs that are given the memory of the last outputs, which the caller does not see.
  private let storageChanges: [StorageChange]
  private let layoutChanges: [LayoutChange]

  /// nil where every output is the graph's own.
  ///
  /// - Parameter inputs: The metadata of the inputs.
  public init?(_ meta: ViewAndMutationMeta, inputs: [TensorMeta?]) {
    layoutChanges = meta.inputs.enumerated().compactMap { index, info in
      info.layoutChanges.isEmpty
        ? nil
        : LayoutChange(
          input: index, isHidden: info.isLeaf && info.requiresGrad, isUsedBefore: info.isUsedBeforeLayoutChange,
          steps: info.layoutChanges)
    }
    storageChanges = meta.inputs.enumerated().compactMap { index, info in
      info.storageChange.map { StorageChange(input: index, kind: $0) }
    }
    guard
      meta.intermediateBaseCount > 0 || !layoutChanges.isEmpty || !storageChanges.isEmpty
        || meta.outputs.contains(where: { $0.kind != .nonAlias || $0.isRequiringLeaf })
    else { return nil }
    let outputs = RegeneratedOutput.all(of: meta, inputs: inputs)
    outputCount = outputs.count
    hiddenOutputCount = meta.hiddenOutputCount
    beforeWrites = outputs.filter { $0.moment == .beforeWrites }
    afterWrites = outputs.filter { $0.moment == .afterWrites }
    afterLayoutChanges = outputs.filter { $0.moment == .afterLayoutChanges }
    afterStorageChanges = outputs.filter { $0.moment == .afterStorageChanges }
    requiringLeaves = meta.outputs.indices.filter { meta.outputs[$0].isRequiringLeaf }
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { [self] arguments in
      for change in layoutChanges { try change.check(arguments) }
      for change in storageChanges { try change.check(arguments) }
      let firstUses = layoutChanges.map { $0.isFirstUse(arguments) }
      var values = [Value](repeating: .none, count: outputCount)
      for output in beforeWrites { try output.make(&values, arguments, results: []) }
      let results = try inner(arguments)
      for output in afterWrites { try output.make(&values, arguments, results: results) }
      for (change, isFirst) in zip(layoutChanges, firstUses) { try change.make(arguments, isFirstUse: isFirst) }
      if !layoutChanges.isEmpty { for output in afterWrites where output.isLatest { output.settle(values) } }
      for output in afterLayoutChanges { try output.make(&values, arguments, results: results) }
      for (change, source) in zip(storageChanges, values.suffix(storageChanges.count)) {
        if let source = source.reference { try change.make(arguments, from: source) }
      }
      for output in afterStorageChanges { try output.make(&values, arguments, results: results) }
      for output in requiringLeaves { try values[output].reference?.setRequiresGrad(true) }
      return hiddenOutputCount == 0 ? values : Array(values.dropLast(hiddenOutputCount))
    }
  }
}
