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

  private struct Step {
    let input: Int
    let isSeenByAutograd: Bool
    let hidesFromAutograd: Bool
  }

  /// nil where no input needs it.
  public init?(_ meta: ViewAndMutationMeta) {
    steps = meta.inputs.enumerated().compactMap { index, info in
      guard info.mutatesData, info.mutation == .outOfGraph else { return nil }
      return Step(
        input: index, isSeenByAutograd: !info.mutationsUnderNoGrad,
        hidesFromAutograd: info.mutationsHiddenFromAutograd)
    }
    if steps.isEmpty { return nil }
  }

  public func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction {
    { arguments in
      try checkWritable(arguments)
      let results = try inner(arguments)
      for (step, result) in zip(steps, results) {
        if let value = result.reference { try Self.write(value, to: arguments[step.input], step) }
      }
      return Array(results.dropFirst(steps.count))
    }
  }

  /// Refuses, before anything is written, what autograd would refuse when the copy is made: a guard does not tell a view of
  /// a leaf from a computed tensor.
  private func checkWritable(_ arguments: [Tensor]) throws {
    guard isGradEnabled else { return }
    for step in steps where step.isSeenByAutograd && !step.hidesFromAutograd {
      try InPlaceRules.check(arguments[step.input], OperatorLibrary.copy)
    }
  }

  private static func write(_ value: Tensor, to input: Tensor, _ step: Step) throws {
    if step.hidesFromAutograd {
      try input.detach().copy_(value)
    } else if step.isSeenByAutograd {
      _ = try OperatorLibrary.overwrite.inPlace(.reference(input), .reference(value))
    } else {
      try noGrad { _ = try input.copy_(value) }
    }
  }
}
