import GraphIR
import LoopIR
import TensorCore

/// Losses of a decision between two classes.
extension OperatorLibrary {
  static let binaryLosses = [
    binaryCrossEntropy, binaryCrossEntropyBackward, binaryCrossEntropyWithLogits, softMarginLoss,
    softMarginLossBackward,
    hingeEmbeddingLoss,
  ]

  /// -(target · log(self) + (1 - target) · log(1 - self)) · weight, for both in 0…1. Logarithms end at -100. Reduced.
  public static let binaryCrossEntropy = pointwiseLoss(
    "binary_cross_entropy(Tensor self, Tensor target, Tensor? weight=None, int reduction=1) -> Tensor",
    operands: ["self", "target", "weight"], resultDType: { call, _ in try call.tensor(0).dtype },
    check: { call, _ in try checkBinary(call, input: 0) },
    prepare: { call, builder in
      for position in 0...1 {
        let name = call.target.schema.parameters[position].name
        let isInside = ScalarExpression.binary(.bitwiseAnd, .load(0) .>= 0, .load(0) .<= 1)
        builder.refuse(
          OperatorError(.elements, call.target.name, "all elements of '\(name)' must be in 0...1"),
          where: .unary(.logicalNot, isInside), in: try call.reference(position))
      }
    }
  ) { x, call in
    func limited(_ logarithm: ScalarExpression) -> ScalarExpression { .binary(.maximum, logarithm, -100) }
    let loss = (x[1] - 1) * limited(.unary(.log1p, -x[0])) - x[1] * limited(.unary(.log, x[0]))
    return call.arguments[2].isNone ? loss : loss * x[2]
  }
  .checkingElements()
  .derivative(of: "self", saving: ["self", "target", "weight"]) { d in
    try binaryCrossEntropyBackward(.reference(d.gradient), d["self"], d["target"], d["weight"], d["reduction"])
  }
  .derivative(of: "target", saving: ["self", "weight"]) { d in
    let input = try d.tensor("self")
    let slope = try (1 - input).log() - input.log()
    return try d.sharedAmongTerms(weighted(d.gradient * slope, d), reductionAt: 3, of: "self")
  }

  public static let binaryCrossEntropyBackward: OperatorDefinition = pointwise(
    """
    binary_cross_entropy_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight=None, \
    int reduction=1) -> Tensor
    """, operands: ["self", "target", "grad_output", "weight"], promotion: .first, accepts: .floatingPoint,
    check: { call, _ in
      try checkBinary(call, input: 1)
      _ = try call.lossReduction(4)
      guard try call.tensor(0).dtype == call.tensor(1).dtype else {
        throw OperatorError(.dtype, call.target.name, "needs a gradient of the type of 'self'")
      }
    }
  ) { x, call in
    let spread = ScalarExpression.binary(.maximum, (1 - x[0]) * x[0], leastSpread)
    let gradient = x[2] * (x[0] - x[1]) / spread * (try call.lossShare(reductionAt: 4, of: 1))
    return call.arguments[3].isNone ? gradient : gradient * x[3]
  }
  .derivative(of: "grad_output", saving: ["self", "target", "weight"]) { d in
    try binaryCrossEntropyBackward(.reference(d.gradient), d["self"], d["target"], d["weight"], d["reduction"])
  }
  .derivative(of: "self", saving: ["grad_output", "self", "target", "weight"]) { d in
    let input = try d.tensor("self")
    let spread = try (1 - input) * input
    // Where it is limited, the spread no longer depends on the input.
    let change = try spread.gt(leastSpreadNumber).selecting(1 - input * 2, 0.0)
    let limited = try spread.clamp(min: .double(leastSpreadNumber))
    let slope = try (1 - (input - d["target"]) * change / limited) / limited
    return try d.sharedAmongTerms(
      weighted(d.gradient * d["grad_output"] * slope, d), reductionAt: 4, of: "self")
  }
  .derivative(of: "target", saving: ["grad_output", "self", "weight"]) { d in
    let input = try d.tensor("self")
    let slope = try (((1 - input) * input).clamp(min: .double(leastSpreadNumber))).reciprocal()
    return try -d.sharedAmongTerms(
      weighted(d.gradient * d["grad_output"] * slope, d), reductionAt: 4, of: "self")
  }

  /// The cross entropy of sigmoid(self) for targets in 0…1, without overflow; `pos_weight` weights the target's part. Reduced.
  public static let binaryCrossEntropyWithLogits = pointwiseLoss(
    """
    binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, \
    int reduction=1) -> Tensor
    """, operands: ["target", "self", "weight", "pos_weight"], resultDType: { call, _ in try call.tensor(1).dtype },
    check: { call, terms in
      let (input, target) = (try call.tensor(0), try call.tensor(1))
      guard input.dtype.isFloatingPoint, target.dtype.isFloatingPoint else {
        throw OperatorError(
          .dtype, call.target.name, "needs floating-point operands, got \(input.dtype) and \(target.dtype)")
      }
      guard terms.sizes == target.sizes else {
        throw OperatorError(
          .shape, call.target.name, "the operands' shape \(terms.sizes) is not the target's shape \(target.sizes)")
      }
    }
  ) { x, call in
    let (target, input) = (x[0], x[1])
    let decay = ScalarExpression.unary(.exp, -.unary(.absolute, input))
    let negativeLogSigmoid = .unary(.log1p, decay) - .binary(.minimum, input, 0)
    let share = call.arguments[3].isNone ? negativeLogSigmoid : ((x[3] - 1) * target + 1) * negativeLogSigmoid
    let loss = (1 - target) * input + share
    return call.arguments[2].isNone ? loss : loss * x[2]
  }
  .derivative(of: "self", saving: ["self", "target", "weight", "pos_weight"]) { d in
    let target = try d.tensor("target")
    let sigmoid = try d.tensor("self").sigmoid()
    let positive = try d.optionalTensor("pos_weight").map { try target * $0 }
    let slope = try positive.map { try ($0 + 1 - target) * sigmoid - $0 } ?? sigmoid - target
    return try d.sharedAmongTerms(weighted(d.gradient * slope, d), reductionAt: 4, of: "target")
  }
  .derivative(of: "target", saving: ["self", "weight", "pos_weight"]) { d in
    let input = try d.tensor("self")
    let slope =
      try d.optionalTensor("pos_weight").map { try (-input).logSigmoid() - $0 * input.logSigmoid() } ?? -input
    return try d.sharedAmongTerms(weighted(d.gradient * slope, d), reductionAt: 4, of: "target")
  }

  /// log(1 + exp(-target · self)) for targets 1 and -1, reduced.
  public static let softMarginLoss = pointwiseLoss(
    "soft_margin_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
    resultDType: { call, _ in
      let dtype = try call.tensor(0).dtype
      guard dtype.isFloatingPoint else {
        throw OperatorError(.dtype, call.target.name, "is not defined for \(dtype)")
      }
      return dtype
    },
    check: { call, terms in
      guard try terms.sizes == call.tensor(0).sizes else {
        throw OperatorError(
          .shape, call.target.name,
          "a target of shape \(try call.tensor(1).sizes) does not broadcast to the input's \(try call.tensor(0).sizes)")
      }
    }
  ) { x, _ in .unary(.log1p, .unary(.exp, -x[1] * x[0])) }
  .derivative(of: "self", saving: ["self", "target"]) { d in
    try softMarginLossBackward(.reference(d.gradient), d["self"], d["target"], d["reduction"])
  }

  public static let softMarginLossBackward: OperatorDefinition = pointwise(
    "soft_margin_loss_backward(Tensor grad_output, Tensor self, Tensor target, int reduction) -> Tensor",
    operands: ["target", "self", "grad_output"], accepts: .floatingPoint,
    check: { call, _ in _ = try call.lossReduction(3) }
  ) { x, call in
    let decay = ScalarExpression.unary(.exp, -x[0] * x[1])
    return -x[0] * decay / (decay + 1) * x[2] * (try call.lossShare(reductionAt: 3, of: 1))
  }
  .derivative(of: "grad_output", saving: ["self", "target"]) { d in
    try softMarginLossBackward(.reference(d.gradient), d["self"], d["target"], d["reduction"])
  }
  .derivative(of: "self", saving: ["grad_output", "self", "target"]) { d in
    let target = try d.tensor("target")
    let sigmoid = try (target * d["self"]).sigmoid()
    let slope = try target * target * (sigmoid * (1 - sigmoid))
    return try d.sharedAmongTerms(d.gradient * d["grad_output"] * slope, reductionAt: 3, of: "self")
  }

  /// `self` for targets 1, what is missing from it to the margin for targets -1. Reduced.
  public static let hingeEmbeddingLoss = OperatorDefinition(
    "hinge_embedding_loss(Tensor self, Tensor target, float margin=1., int reduction=1) -> Tensor",
    .composite { call in
      let (input, target) = (try call.tensor(0), try call.tensor(1))
      let zeros = try input.zerosLike()
      // The margin takes the input's type, integers included, as in PyTorch.
      let missing = try input.rsub(call.scalar(2).converted(to: input.dtype)).clampMin(0)
      let negatives = try target.ne(1).selecting(missing, zeros)
      let positives = try target.ne(-1).selecting(input, zeros)
      return .reference(try (negatives + positives).reduced(call.lossReduction(3)))
    })

  private static let leastSpreadNumber = 1e-12
  private static let leastSpread = ScalarExpression.constant(.double(leastSpreadNumber))

  /// - Throws: `OperatorError` unless input and target are of one type, and nothing is larger than the input.
  private static func checkBinary(_ call: OperatorCall, input position: Int) throws {
    let (input, target) = (try call.tensor(position), try call.tensor(position + 1))
    guard input.dtype == target.dtype else {
      throw OperatorError(
        .dtype, call.target.name, "needs input and target of one dtype, got \(input.dtype) and \(target.dtype)")
    }
    let sizes = try call.target.broadcast(call.allTensors.map(\.sizes))
    guard sizes == input.sizes else {
      throw OperatorError(
        .shape, call.target.name, "the operands' shape \(sizes) is not the input's shape \(input.sizes)")
    }
  }

  private static func weighted(_ gradient: Tensor, _ d: DerivativeContext) throws -> Tensor {
    try d.optionalTensor("weight").map { try gradient * $0 } ?? gradient
  }
}

extension Tensor {
  /// The cross entropy of these probabilities for targets in 0…1.
  public func binaryCrossEntropy(
    _ target: Tensor, weight: Tensor? = nil, reduction: LossReduction = .mean
  ) throws -> Tensor {
    try OperatorLibrary.binaryCrossEntropy(
      .reference(self), .reference(target), weight.map { .reference($0) } ?? .none, Value(reduction.rawValue))
  }

  /// The cross entropy of sigmoid(self) for targets in 0…1.
  public func binaryCrossEntropyWithLogits(
    _ target: Tensor, weight: Tensor? = nil, positiveWeight: Tensor? = nil, reduction: LossReduction = .mean
  ) throws -> Tensor {
    try OperatorLibrary.binaryCrossEntropyWithLogits(
      .reference(self), .reference(target), weight.map { .reference($0) } ?? .none,
      positiveWeight.map { .reference($0) } ?? .none, Value(reduction.rawValue))
  }

  /// log(1 + exp(-target · self)) for targets 1 and -1.
  public func softMarginLoss(_ target: Tensor, reduction: LossReduction = .mean) throws -> Tensor {
    try OperatorLibrary.softMarginLoss(.reference(self), .reference(target), Value(reduction.rawValue))
  }

  /// These distances for targets 1, what is missing from them to the margin for targets -1.
  public func hingeEmbeddingLoss(
    _ target: Tensor, margin: Double = 1, reduction: LossReduction = .mean
  ) throws -> Tensor {
    try OperatorLibrary.hingeEmbeddingLoss(
      .reference(self), .reference(target), .double(margin), Value(reduction.rawValue))
  }
}
