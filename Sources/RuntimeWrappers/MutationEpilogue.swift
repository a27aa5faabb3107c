import AOTArtifacts
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Writes the new values of mutated inputs back, where the graph did not do it by itself.
///
/// The graph returns them first. The copy is an in-place operation that autograd sees, so the input gets the history that it
/// would have eagerly.
public struct MutationEpilogue: RuntimeWrapper {
  public static let name = "mutation epilogue"

  private let steps: [Step]
  private let returnedCount: Int

  private struct Step {
    let input: Int
    let returnsValue: Bool
    let isSeenByAutograd: Bool
    let hidesFromAutograd: Bool
    /// The input's layout after the call, its offset counted from where the tensor starts before it.
    let layoutAfter: Layout?
  }

  /// nil where no input needs it.
  public init?(_ meta: ViewAndMutationMeta) {
    steps = meta.inputs.enumerated().compactMap { index, info in
      let returnsValue = info.mutatesData && info.mutation == .outOfGraph
      guard returnsValue || info.mutatesMetadata else { return nil }
      return Step(
        input: index, returnsValue: returnsValue, isSeenByAutograd: !info.mutationsUnderNoGrad,
        hidesFromAutograd: info.mutationsHiddenFromAutograd, layoutAfter: info.mutatesMetadata ? info.layoutAfter : nil)
    }
    returnedCount = steps.count(where: \.returnsValue)
    if steps.isEmpty { return nil }
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { arguments in
      let results = try inner(arguments)
      var returned = results.prefix(returnedCount).makeIterator()
      for step in steps {
        guard let input = arguments[step.input].reference else { continue }
        if var layout = step.layoutAfter {
          layout.offset += input.layout.offset
          input.layout = layout
        }
        if step.returnsValue, let value = returned.next()?.reference { try Self.write(value, to: input, step) }
      }
      return Array(results.dropFirst(returnedCount))
    }
  }

  private static func write(_ value: Tensor, to input: Tensor, _ step: Step) throws {
    if step.hidesFromAutograd {
      try input.detach().copy_(value)
    } else if step.isSeenByAutograd {
      try input.copy_(value)
    } else {
      try noGrad { _ = try input.copy_(value) }
    }
  }
}
