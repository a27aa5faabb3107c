import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// Calls such as `t_` that gave an input another layout, to be made on the real tensor.
public struct LayoutChange: Hashable, Sendable {
  /// The input, among those that the wrapper which makes the change sees.
  public var input: Int
  /// Whether autograd must not look: it would refuse, so it did not when the function did the same.
  public var isHidden: Bool
  /// Whether autograd saw the input used by the function before.
  public var isUsedBefore: Bool
  /// The calls in order, as the views whose layouts they give, with the grad mode in which they were made.
  public var steps: [ViewStep]

  public init(input: Int, isHidden: Bool, isUsedBefore: Bool, steps: [ViewStep]) {
    self.input = input
    self.isHidden = isHidden
    self.isUsedBefore = isUsedBefore
    self.steps = steps
  }

  /// Refuses, before anything is written, what autograd would refuse when the change is made.
  public func check(_ arguments: [Tensor]) throws {
    guard isGradEnabled, !isHidden, arguments[input].requiresGrad else { return }
    for step in steps where !step.isWithoutGrad { try InPlaceRules.check(arguments[input], step.target) }
  }

  /// Whether gradients of the input, a leaf, are to arrive in the layout that the change gives it, as asked before the call: not
  /// where it was used before.
  public func isFirstUse(_ arguments: [Tensor]) -> Bool {
    isHidden && !isUsedBefore && !arguments[input].isAccumulating
  }

  /// - Parameter isFirstUse: What `isFirstUse(_:)` said before the call.
  public func make(_ arguments: [Tensor], isFirstUse: Bool) throws {
    for step in steps {
      let call = [.reference(arguments[input])] + step.arguments.map { $0.widened() }
      let change = { _ = try step.target.inPlace.call(call) }
      if isHidden || step.isWithoutGrad { try noGrad(change) } else { try change() }
    }
    if isFirstUse { arguments[input].adaptAccumulator() }
  }
}
