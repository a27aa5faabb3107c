import GraphIR
import LoopIR
import TensorCore

/// Losses of the difference from a target.
extension OperatorLibrary {
  static let losses = [
    mseLoss, mseLossBackward, l1Loss, smoothL1Loss, smoothL1LossBackward, huberLoss, huberLossBackward,
  ]

  /// (self - target)², reduced.
  public static let mseLoss = pointwiseLoss("mse_loss(Tensor self, Tensor target, int reduction=1) -> Tensor") { x, _ in
    let difference = x[0] - x[1]
    return difference * difference
  }
  .derivative(of: "self", saving: ["self", "target"]) { d in
    try mseLossBackward([.reference(d.gradient)] + d.sidesOfOneShape() + [d["reduction"]])
  }
  .derivative(of: "target", saving: ["self", "target"]) { d in
    try mseLossBackward([.reference(d.gradient)] + d.sidesOfOneShape().reversed() + [d["reduction"]])
  }

  /// 2 · grad · (self - target), over the number of elements for a mean.
  public static let mseLossBackward: OperatorDefinition = differenceBackward(
    "mse_loss_backward(Tensor grad_output, Tensor self, Tensor target, int reduction) -> Tensor"
  ) { difference, _ in 2 * difference }
  .derivative(of: "grad_output", saving: ["self", "target"]) { d in
    try mseLossBackward(.reference(d.gradient), d["self"], d["target"], d["reduction"])
  }
  .derivative(of: "self", saving: ["grad_output"]) { try mseCurvature($0) }
  .derivative(of: "target", saving: ["grad_output"]) { try -mseCurvature($0) }

  /// |self - target|, reduced.
  public static let l1Loss = OperatorDefinition(
    "l1_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
    .composite { call in
      let terms = try (call.tensor(0) - call.tensor(1)).abs()
      return .reference(try terms.reduced(call.lossReduction(2)))
    })

  /// |self - target| - beta / 2, where that is at least beta; else the parabola that meets it there. Reduced.
  public static let smoothL1Loss = pointwiseLoss(
    "smooth_l1_loss(Tensor self, Tensor target, int reduction=1, float beta=1.) -> Tensor",
    check: { call, _ in
      guard try call.double(3) >= 0 else { throw call.mismatch(3, "at least 0") }
    }
  ) { x, call in
    let beta = ScalarExpression.constant(.double(try call.double(3)))
    let distance = ScalarExpression.unary(.absolute, x[0] - x[1])
    return select(distance .< beta, 0.5 * distance * distance / beta, distance - 0.5 * beta)
  }
  .derivative(of: "self", saving: ["self", "target"]) { d in
    try smoothL1LossBackward([.reference(d.gradient)] + d.sidesOfOneShape() + [d["reduction"], d["beta"]])
  }
  .derivative(of: "target", saving: ["self", "target"]) { d in
    try smoothL1LossBackward([.reference(d.gradient)] + d.sidesOfOneShape().reversed() + [d["reduction"], d["beta"]])
  }

  /// grad · (self - target) / beta, of which only the sign counts from beta on; over the number of elements for a mean.
  public static let smoothL1LossBackward: OperatorDefinition = differenceBackward(
    "smooth_l1_loss_backward(Tensor grad_output, Tensor self, Tensor target, int reduction, float beta) -> Tensor"
  ) { difference, call in
    let beta = ScalarExpression.constant(.double(try call.double(4)))
    return select(difference .<= -beta, -1, select(difference .>= beta, 1, difference / beta))
  }
  .derivative(of: "grad_output", saving: ["self", "target"]) { d in
    try smoothL1LossBackward(.reference(d.gradient), d["self"], d["target"], d["reduction"], d["beta"])
  }
  .derivative(of: "self", saving: ["grad_output", "self", "target"]) { try curvature(within: "beta", $0) / $0["beta"] }
  .derivative(of: "target", saving: ["grad_output", "self", "target"]) {
    try -curvature(within: "beta", $0) / $0["beta"]
  }

  /// (self - target)² / 2 up to delta, and on from there in a straight line. Reduced.
  public static let huberLoss = pointwiseLoss(
    "huber_loss(Tensor self, Tensor target, int reduction=1, float delta=1.) -> Tensor",
    resultDType: { call, common in
      let dtype = try call.tensor(0).dtype
      guard TypePromotion.canCast(common, to: dtype) else {
        throw OperatorError(.dtype, call.target.name, "a loss of type \(common) cannot be given as \(dtype)")
      }
      return dtype
    },
    check: { call, _ in
      guard try call.double(3) > 0 else { throw call.mismatch(3, "above 0") }
    }
  ) { x, call in
    let delta = ScalarExpression.constant(.double(try call.double(3)))
    let distance = ScalarExpression.unary(.absolute, x[0] - x[1])
    return select(distance .<= delta, 0.5 * distance * distance, delta * (distance - 0.5 * delta))
  }
  .derivative(of: "self", saving: ["self", "target"]) { d in
    try huberLossBackward([.reference(d.gradient)] + d.sidesOfOneShape() + [d["reduction"], d["delta"]])
  }
  .derivative(of: "target", saving: ["self", "target"]) { d in
    try huberLossBackward([.reference(d.gradient)] + d.sidesOfOneShape().reversed() + [d["reduction"], d["delta"]])
  }

  /// grad · (self - target), the difference limited to ±delta; over the number of elements for a mean.
  public static let huberLossBackward: OperatorDefinition = differenceBackward(
    "huber_loss_backward(Tensor grad_output, Tensor self, Tensor target, int reduction, float delta) -> Tensor"
  ) { difference, call in
    let delta = ScalarExpression.constant(.double(try call.double(4)))
    return select(difference .<= -delta, -delta, select(difference .>= delta, delta, difference))
  }
  .derivative(of: "grad_output", saving: ["self", "target"]) { d in
    try huberLossBackward(.reference(d.gradient), d["self"], d["target"], d["reduction"], d["delta"])
  }
  .derivative(of: "self", saving: ["grad_output", "self", "target"]) { try curvature(within: "delta", $0) }
  .derivative(of: "target", saving: ["grad_output", "self", "target"]) { try -curvature(within: "delta", $0) }

  /// grad · slope(self - target), over the number of elements for a mean.
  private static func differenceBackward(
    _ schema: String,
    _ slope: @escaping @Sendable (_ difference: ScalarExpression, _ call: LoweringCall) throws -> ScalarExpression
  ) -> OperatorDefinition {
    pointwise(
      schema, operands: ["self", "target", "grad_output"], promotion: .first, accepts: .floatingPoint,
      isContiguous: true, check: { call, _ in _ = try call.lossReduction(3) }
    ) { x, call in
      try slope(x[0] - x[1], call) * x[2] * call.lossShare(reductionAt: 3, of: 1)
    }
  }

  private static func mseCurvature(_ d: DerivativeContext) throws -> Tensor {
    try d.sharedAmongTerms(d.gradient * (d.tensor("grad_output") * 2), reductionAt: 3, of: "self")
  }

  // Where a loss is no longer a parabola, its slope is constant.
  private static func curvature(within bound: String, _ d: DerivativeContext) throws -> Tensor {
    let isCurved = try (d.tensor("self") - d["target"]).abs().lt(d[bound])
    return try d.sharedAmongTerms(d.gradient * d["grad_output"] * isCurved, reductionAt: 3, of: "self")
  }
}

extension DerivativeContext {
  /// A loss's two sides, broadcast to one shape: a mean is over the terms, which may be more than either has elements.
  func sidesOfOneShape() throws -> [Value] {
    let sides = [try tensor("self"), try tensor("target")]
    if sides[0].sizes == sides[1].sizes { return sides.map { .reference($0) } }
    let sizes = try call.target.broadcast(sides.map(\.sizes))
    return try sides.map { .reference(try $0.expand(sizes)) }
  }
}

extension Tensor {
  /// The squared difference from a target, reduced.
  public func mseLoss(_ target: Tensor, reduction: LossReduction = .mean) throws -> Tensor {
    try OperatorLibrary.mseLoss(.reference(self), .reference(target), Value(reduction.rawValue))
  }

  /// The absolute difference from a target, reduced.
  public func l1Loss(_ target: Tensor, reduction: LossReduction = .mean) throws -> Tensor {
    try OperatorLibrary.l1Loss(.reference(self), .reference(target), Value(reduction.rawValue))
  }

  /// The absolute difference from a target, squared where it is below `beta`, reduced.
  public func smoothL1Loss(_ target: Tensor, reduction: LossReduction = .mean, beta: Double = 1) throws -> Tensor {
    try OperatorLibrary.smoothL1Loss(
      .reference(self), .reference(target), Value(reduction.rawValue), .double(beta))
  }

  /// Half the squared difference from a target, in a straight line from `delta` on, reduced.
  public func huberLoss(_ target: Tensor, reduction: LossReduction = .mean, delta: Double = 1) throws -> Tensor {
    try OperatorLibrary.huberLoss(
      .reference(self), .reference(target), Value(reduction.rawValue), .double(delta))
  }
}
