import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let losses = [mseLoss, mseLossBackward, l1Loss, binaryCrossEntropyWithLogits]

  /// (self - target)², reduced.
  public static let mseLoss = OperatorDefinition(
    "mse_loss(Tensor self, Tensor target, int reduction=1) -> Tensor", traits: .reduction,
    .kernel(
      shape: { call in
        let meta = try mseTerms.result(of: call)
        guard meta.dtype.isFloatingPoint else {
          throw OperatorError(.dtype, call.target.name, "is not defined for \(meta.dtype)")
        }
        return [
          try call.lossReduction(2) == .none ? meta : TensorMeta(dtype: meta.dtype, sizes: [], device: meta.device)
        ]
      },
      lowering: { call, results, builder in
        let (input, target) = (try call.reference(0), try call.reference(1))
        let reduction = try call.lossReduction(2)
        let dtype = results[0].dtype.accumulator
        let difference = ScalarExpression.cast(dtype, .load(0)) - .cast(dtype, .load(1))
        if reduction == .none {
          return builder.pointwise([input, target], to: results[0]) { _ in difference * difference }
        }
        let sizes = try call.target.broadcast([[SymInt](input.sizes), [SymInt](target.sizes)]).values
        let total = ScalarExpression.reduced(0)
        let count = ScalarExpression.constant(.double(Double(sizes.reduce(1, *))))
        builder.rows(
          [input, target], of: sizes, over: Array(sizes.indices),
          reductions: [.init(.sum, difference * difference, dtype: dtype)],
          outer: [(results[0], reduction == .mean ? total / count : total)])
      })
  )
  .wideDecomposition { try ($0.tensor(0) - $0.tensor(1)).square().reduced($0.lossReduction(2)) }
  .derivative(of: "self", saving: ["self", "target"]) { d in
    try mseLossBackward(.reference(d.gradient), d["self"], d["target"], d["reduction"])
  }
  .derivative(of: "target", saving: ["self", "target"]) { d in
    try -mseLossBackward(.reference(d.gradient), d["self"], d["target"], d["reduction"])
  }

  /// 2 · grad · (self - target), over the number of elements for a mean.
  public static let mseLossBackward = pointwise(
    "mse_loss_backward(Tensor grad_output, Tensor self, Tensor target, int reduction) -> Tensor",
    accepts: .floatingPoint, isContiguous: true, check: { call, _ in _ = try call.lossReduction(3) }
  ) { x, call in
    var factor = 2.0
    if try call.lossReduction(3) == .mean {
      let sizes = try [1, 2].map { [SymInt](try call.reference($0).sizes) }
      factor /= Double(try call.target.broadcast(sizes).values.reduce(1, *))
    }
    return .constant(.double(factor)) * (x[1] - x[2]) * x[0]
  }
  .wideDecomposition { call in
    let difference = try call.tensor(1) - call.tensor(2)
    let isMean = try call.lossReduction(3) == .mean
    return try difference * (isMean ? 2 / Double(difference.elementCount) : 2) * call.tensor(0)
  }
  .derivative(of: "grad_output", saving: ["self", "target"]) { d in
    let terms = try d.gradient * ((d.tensor("self") - d["target"]) * 2)
    return try terms.reduced(d.call.lossReduction(3))
  }
  .derivative(of: "self", saving: ["grad_output"]) { d in try secondMSEGradient(d) }
  .derivative(of: "target", saving: ["grad_output"]) { d in try -secondMSEGradient(d) }

  /// |self - target|, reduced.
  public static let l1Loss = OperatorDefinition(
    "l1_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
    .composite { call in
      let terms = try (call.tensor(0) - call.tensor(1)).abs()
      return .reference(try terms.reduced(call.lossReduction(2)))
    })

  /// The cross entropy of sigmoid(self) for targets in 0…1, without overflow.
  public static let binaryCrossEntropyWithLogits = OperatorDefinition(
    """
    binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, \
    int reduction=1) -> Tensor
    """,
    .composite { call in
      let (input, target) = (try call.tensor(0), try call.tensor(1))
      let logSigmoid = try input.logSigmoid()
      var terms: Tensor
      if let positive = try call.optionalTensor(3) {
        terms = try (1 - target) * input - ((positive - 1) * target + 1) * logSigmoid
      } else {
        terms = try (1 - target) * input - logSigmoid
      }
      if let weight = try call.optionalTensor(2) { terms = try terms * weight }
      return .reference(try terms.reduced(call.lossReduction(4)))
    })

  private static let mseTerms = PointwiseRule(
    OperatorSchema(wellFormed: "mse_loss(Tensor self, Tensor target, int reduction=1) -> Tensor"), operands: nil,
    promotion: .common)

  private static func secondMSEGradient(_ d: DerivativeContext) throws -> Tensor {
    let terms = try d.gradient * (d.tensor("grad_output") * 2)
    guard try d.call.lossReduction(3) == .mean else { return terms }
    return try terms / terms.elementCount
  }
}

extension Tensor {
  /// The terms of a loss, reduced.
  fileprivate func reduced(_ reduction: LossReduction) throws -> Tensor {
    switch reduction {
    case .none: self
    case .mean: try mean()
    case .sum: try sum()
    }
  }

  /// The squared difference from a target, reduced.
  public func mseLoss(_ target: Tensor, reduction: LossReduction = .mean) throws -> Tensor {
    try OperatorLibrary.mseLoss(.reference(self), .reference(target), Value(reduction.rawValue))
  }

  /// The absolute difference from a target, reduced.
  public func l1Loss(_ target: Tensor, reduction: LossReduction = .mean) throws -> Tensor {
    try OperatorLibrary.l1Loss(.reference(self), .reference(target), Value(reduction.rawValue))
  }

  /// The cross entropy of sigmoid(self) for targets in 0…1.
  public func binaryCrossEntropyWithLogits(
    _ target: Tensor, weight: Tensor? = nil, positiveWeight: Tensor? = nil, reduction: LossReduction = .mean
  ) throws -> Tensor {
    try OperatorLibrary.binaryCrossEntropyWithLogits(
      .reference(self), .reference(target), weight.map { .reference($0) } ?? .none,
      positiveWeight.map { .reference($0) } ?? .none, Value(reduction.rawValue))
  }
}
