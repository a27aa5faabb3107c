import GraphIR
import TensorCore

extension OperatorLibrary {
  static let crossEntropies = [crossEntropyLoss]

  /// The negative log-likelihood of the softmax along the classes, dimension 1 of [N, C, …] or that of [C]. Targets are
  /// class indices, or probabilities in the input's shape.
  public static let crossEntropyLoss = OperatorDefinition(
    """
    cross_entropy_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100, \
    float label_smoothing=0.) -> Tensor
    """,
    .composite { call in
      let (input, target) = (try call.tensor(0), try call.tensor(1))
      let classes = input.rank == 1 ? 0 : 1
      let smoothing = try call.double(5)
      guard input.rank > 0, (0...1).contains(smoothing) else {
        throw OperatorError(
          .argument, call.target.name,
          "needs logits [C] or [N, C, …] and a label smoothing in 0...1, got \(input.sizes) and \(smoothing)")
      }
      let logits = try logSoftmaxForward(.reference(input), Value(classes), .bool(false))
      if input.sizes == target.sizes { return .reference(try crossEntropy(call, logits, ofProbabilities: target)) }
      let loss = try nllLossND(
        .reference(logits), call.arguments[1], call.arguments[2], call.arguments[3], call.arguments[4])
      if smoothing == 0 { return .reference(loss) }
      let smooth = try smoothLoss(call, logits, classes)
      return .reference(try loss * (1 - smoothing) + smooth * (smoothing / Double(input.shape[classes])))
    })

  private static func crossEntropy(
    _ call: OperatorCall, _ logits: Tensor, ofProbabilities target: Tensor
  ) throws -> Tensor {
    guard target.dtype.isFloatingPoint else {
      throw OperatorError(.dtype, call.target.name, "probabilities must be floating point, got \(target.dtype)")
    }
    let classes = logits.rank == 1 ? 0 : 1
    let smoothing = try call.double(5)
    let count = logits.shape[classes]
    let probabilities = smoothing == 0 ? target : try target * (1 - smoothing) + smoothing / Double(count)
    var terms = try logits * probabilities
    if let weight = try classWeights(call, of: logits, classes) { terms = try terms * weight }
    switch try call.lossReduction(3) {
    case .none: return try -terms.sum([classes])
    case .sum: return try -terms.sum()
    case .mean: return try -terms.sum() / (Double(logits.elementCount) / Double(count))
    }
  }

  /// The weights of the classes, placed to broadcast along their dimension.
  private static func classWeights(_ call: OperatorCall, of logits: Tensor, _ classes: Int) throws -> Tensor? {
    guard let weight = try call.optionalTensor(2) else { return nil }
    guard weight.sizes == [logits.sizes[classes]] else {
      throw OperatorError(
        .shape, call.target.name,
        "needs a weight for each of \(logits.sizes[classes]) classes, got sizes \(weight.sizes)")
    }
    return try weight.view((0..<logits.rank).map { $0 == classes ? weight.sizes[0] : 1 })
  }

  /// The loss against all classes alike.
  private static func smoothLoss(_ call: OperatorCall, _ logits: Tensor, _ classes: Int) throws -> Tensor {
    let target = try call.tensor(1)
    let weighted = try classWeights(call, of: logits, classes).map { try logits * $0 } ?? logits
    let isIgnored = try target.eq(call.int(4))
    let terms = try -weighted.sum([classes]).maskedFill(isIgnored, 0)
    switch try call.lossReduction(3) {
    case .none: return terms
    case .sum: return try terms.sum()
    case .mean:
      // The total of the weights of the targets: what the loss of zeros and ones counts.
      let ones = try logits.zerosLike() - 1
      let total = try nllLossND(
        .reference(ones), call.arguments[1], call.arguments[2], Value(LossReduction.sum.rawValue), call.arguments[4])
      return try terms.sum() / total
    }
  }
}

extension Tensor {
  /// The cross-entropy loss of logits [N, C, …] or [C] for class indices (int64) or probabilities.
  public func crossEntropyLoss(
    _ target: Tensor, weight: Tensor? = nil, reduction: LossReduction = .mean, ignoreIndex: Int = -100,
    labelSmoothing: Double = 0
  ) throws -> Tensor {
    try OperatorLibrary.crossEntropyLoss(
      .reference(self), .reference(target), weight.map { .reference($0) } ?? .none, Value(reduction.rawValue),
      Value(ignoreIndex), .double(labelSmoothing))
  }
}
