import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let batchNorms = [
    batchNormFunctional, batchNormNoStatistics, batchNormNoTraining, batchNormLegit, batchNormWithUpdate,
    batchNormNoUpdate, nativeBatchNorm, nativeBatchNormBackward, batchNormBackward, batchNorm,
  ]

  // (x - mean) · invstd · weight + bias per channel, dimension 1 of [N, C, …]. In training mean and variance are the
  // batch's, and running ones follow: r ← (1 - momentum) · r + momentum · batch, the variance's unbiased. Results: output,
  // mean, invstd = 1/√(variance + eps); the last two are empty outside of training.

  /// With the running statistics as further results.
  public static let batchNormFunctional: OperatorDefinition = batchNormKernel(
    """
    _native_batch_norm_legit_functional(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, \
    Tensor running_var, bool training, float momentum, float eps) \
    -> (Tensor, Tensor, Tensor, Tensor running_mean_out, Tensor running_var_out)
    """)

  /// With the batch's statistics and no running ones.
  public static let batchNormNoStatistics: OperatorDefinition = batchNormKernel(
    """
    _native_batch_norm_legit.no_stats(Tensor input, Tensor? weight, Tensor? bias, bool training, float momentum, \
    float eps) -> (Tensor, Tensor, Tensor)
    """)

  /// With the running statistics, which stay as they are.
  public static let batchNormNoTraining: OperatorDefinition = batchNormKernel(
    """
    _native_batch_norm_legit_no_training(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, \
    Tensor running_var, float momentum, float eps) -> (Tensor, Tensor, Tensor)
    """)

  /// With the running statistics updated in place.
  public static let batchNormLegit = OperatorDefinition(
    """
    _native_batch_norm_legit(Tensor input, Tensor? weight, Tensor? bias, Tensor(a!) running_mean, \
    Tensor(b!) running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)
    """, .composite { call in .tuple(try updatingRunningStatistics(call)) })

  /// In training. The last result is memory that some devices' backward pass wants: here, none.
  public static let batchNormWithUpdate = OperatorDefinition(
    """
    _batch_norm_with_update(Tensor input, Tensor? weight, Tensor? bias, Tensor(a!) running_mean, \
    Tensor(b!) running_var, float momentum, float eps) -> (Tensor, Tensor, Tensor, Tensor)
    """, .composite { try withReserve($0, isTraining: true) })

  /// Outside of training.
  public static let batchNormNoUpdate = OperatorDefinition(
    """
    _batch_norm_no_update(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, \
    float momentum, float eps) -> (Tensor, Tensor, Tensor, Tensor)
    """, .composite { try withReserve($0, isTraining: false) })

  private static func withReserve(_ call: OperatorCall, isTraining: Bool) throws -> Value {
    let arguments = Array(call.arguments[...4]) + [.bool(isTraining)] + call.arguments[5...]
    let results = try updatingRunningStatistics(OperatorCall(call.target, arguments))
    return .tuple(results + [.reference(try Tensor.empty([0], dtype: .uint8))])
  }

  /// As PyTorch has it: it updates running statistics although its schema does not say so. Under capture the writes show.
  public static let nativeBatchNorm = OperatorDefinition(
    """
    native_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, \
    bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)
    """, .composite { call in .tuple(try updatingRunningStatistics(call)) })

  public static let batchNorm = OperatorDefinition(
    """
    batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, \
    float momentum, float eps, bool cudnn_enabled) -> Tensor
    """,
    .composite { call in
      let input = try call.tensor(0)
      guard input.layout.isEmpty, input.rank >= 2 else { return try updatingRunningStatistics(call)[0] }
      // There is nothing to take statistics of.
      _ = try channelCount(call, input)
      var output = try input.clone()
      if let weight = try call.optionalTensor(1) { output = try output * weight.perChannel(rank: input.rank) }
      if let bias = try call.optionalTensor(2) { output = try output + bias.perChannel(rank: input.rank) }
      return .reference(try output.converted(to: input.dtype))
    })

  /// The gradients for input, weight and bias, those that the mask asks for.
  public static let nativeBatchNormBackward = OperatorDefinition(
    """
    native_batch_norm_backward(Tensor grad_out, Tensor input, Tensor? weight, Tensor? running_mean, \
    Tensor? running_var, Tensor? save_mean, Tensor? save_invstd, bool train, float eps, bool[3] output_mask) \
    -> (Tensor, Tensor, Tensor)
    """, traits: .reduction,
    .kernel(
      shape: { call in
        let (gradient, input) = (try call.tensor(0), try call.tensor(1))
        let channels = try channelCount(call, input)
        try call.checkGradient(gradient, of: input)
        let mask = try call.bools(9)
        guard mask.count == 3 else { throw call.mismatch(9, "3 bools") }
        for position in try call.bool(7) ? [5, 6] : [3, 4] { _ = try call.tensor(position) }
        let parameter = TensorMeta(
          dtype: try call.parameterDType(of: input, normParameters + ["save_mean", "save_invstd"]), sizes: [channels],
          device: input.device)
        let layout = input.layout.normalized
        return [
          mask[0] ? TensorMeta(dtype: input.dtype, layout: layout, device: input.device) : nil,
          mask[1] ? parameter : nil, mask[2] ? parameter : nil,
        ]
      },
      lowering: { call, results, builder in try lowerBatchNormBackward(call, results, &builder) })
  )
  .decomposition { call in
    let input = try call.tensor(1).widened()
    func perChannel(_ position: Int) throws -> Tensor? {
      try call.optionalTensor(position)?.widened().perChannel(rank: input.rank)
    }
    let isTraining = try call.bool(7)
    let statistics = try (isTraining ? [5, 6] : [3, 4]).map {
      try call.tensor($0).widened().perChannel(rank: input.rank)
    }
    let others = (0..<input.rank).filter { $0 != 1 }
    let normalization = Normalization(
      gradient: try call.tensor(0).widened(), input: input, mean: statistics[0],
      rstd: isTraining ? statistics[1] : try (statistics[1] + call.double(8)).rsqrt(), weight: try perChannel(2),
      folded: others, isOfInput: isTraining)
    let gradients = try normalization.gradients(call.bools(9), others: others)
    return .tuple(gradients.map { $0.map { .reference($0) } ?? .none })
  }
  .derivative(
    of: "grad_out", "input", "weight",
    saving: ["grad_out", "input", "weight", "running_mean", "running_var", "save_mean", "save_invstd"]
  ) { d -> [Value] in
    let input = try d.tensor("input")
    let isTraining = try d.call.bool(7)
    let mean = try d.tensor(isTraining ? "save_mean" : "running_mean").perChannel(rank: input.rank)
    let rstd =
      try isTraining
      ? d.tensor("save_invstd").perChannel(rank: input.rank)
      : (d.tensor("running_var") + d.call.double(8)).rsqrt().perChannel(rank: input.rank)
    let others = (0..<input.rank).filter { $0 != 1 }
    let normalization = Normalization(
      gradient: try d.tensor("grad_out"), input: input, mean: mean, rstd: rstd,
      weight: try d.optionalTensor("weight")?.perChannel(rank: input.rank), folded: others, isOfInput: isTraining)
    let tangents = try d.gradients.map { tangent in
      try tangent.map { try $0.rank == 1 ? $0.perChannel(rank: input.rank) : $0 }
    }
    var gradients = try normalization.secondGradients(tangents)
    gradients[2] = try gradients[2]?.sum(others)
    return gradients.map { $0.map { .reference($0) } ?? .none }
  }

  /// The same, as `_batch_norm_with_update` and its like name the arguments.
  public static let batchNormBackward = OperatorDefinition(
    """
    batch_norm_backward(Tensor grad_out, Tensor input, Tensor weight, Tensor? running_mean, Tensor? running_var, \
    Tensor? save_mean, Tensor? save_var, bool update, float eps, bool[3] output_mask, Tensor reserve) \
    -> (Tensor, Tensor, Tensor)
    """, .composite { try nativeBatchNormBackward.call(Array($0.arguments[..<10])) })

  private static func batchNormKernel(_ text: String) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let updatesStatistics = schema.returns.count == 5
    let meanPosition = schema.index(of: "running_mean")
    let training = schema.index(of: "training")
    @Sendable func isTraining(_ call: Call<some Any>) throws -> Bool { try training.map(call.bool) ?? false }
    let definition = OperatorDefinition(
      schema: schema, traits: .reduction,
      .kernel(
        shape: { call in
          let input = try call.tensor(0)
          let channels = try channelCount(call, input)
          if meanPosition == nil, try !isTraining(call) {
            throw call.mismatch(3, "true: there are no running statistics")
          }
          let usesBatch = try isTraining(call)
          guard !usesBatch || !input.layout.isEmpty else {
            throw OperatorError(.shape, call.target.name, "an input of sizes \(input.sizes) has no statistics")
          }
          let statistics = TensorMeta(
            dtype: try call.parameterDType(of: input, normParameters), sizes: [usesBatch ? channels : 0],
            device: input.device)
          let output = TensorMeta(
            dtype: input.dtype, layout: input.layout.normalized, device: input.device)
          guard updatesStatistics else { return [output, statistics, statistics] }
          return try [output, statistics, statistics]
            + [3, 4].map {
              TensorMeta(dtype: try call.tensor($0).dtype, sizes: [channels], device: input.device)
            }
        },
        lowering: { call, results, builder in
          let (momentum, eps) = (
            try call.double(schema.parameters.count - 2), try call.double(schema.parameters.count - 1)
          )
          let running = try meanPosition.map { [try call.reference($0), try call.reference($0 + 1)] } ?? []
          let lowering = BatchNormLowering(input: try call.reference(0), weight: try call.optionalReference(1))
          let bias = try call.optionalReference(2)
          if try isTraining(call) {
            return lowering.forwardWithBatch(
              results, bias: bias, running: running, momentum: momentum, eps: eps, &builder)
          }
          lowering.normalize(results[0], mean: running[0], variance: running[1], bias: bias, eps: eps, &builder)
          if updatesStatistics { zip(running, results.dropFirst(3)).forEach { builder.copy($0, to: $1) } }
        }))
    return definition.decomposition { call in
      let input = try call.tensor(0).widened()
      let eps = try call.double(schema.parameters.count - 1)
      let running = try meanPosition.map { try [$0, $0 + 1].map { try call.tensor($0) } } ?? []
      let (weight, bias) = try (
        call.optionalTensor(1)?.perChannel(rank: input.rank), call.optionalTensor(2)?.perChannel(rank: input.rank)
      )
      guard try isTraining(call) || running.isEmpty else {
        let mean = try running[0].widened().perChannel(rank: input.rank)
        let rstd = try (running[1].widened() + eps).rsqrt().perChannel(rank: input.rank)
        let output = try ((input - mean) * rstd).scaledAndShifted(weight, bias)
        let unused = Value.reference(try input.newEmpty([0]))
        return .tuple([.reference(output), unused, unused] + (updatesStatistics ? running.map { .reference($0) } : []))
      }
      let others = (0..<input.rank).filter { $0 != 1 }
      let normalized = try input.normalized(over: others, eps: eps)
      let statistics = try [normalized.mean, normalized.rstd].map { try $0.squeeze(others) }
      let output = try normalized.output.scaledAndShifted(weight, bias)
      guard updatesStatistics else { return .tuple(([output] + statistics).map { .reference($0) }) }
      let momentum = try call.double(schema.parameters.count - 2)
      let elements = Double(others.reduce(1) { $0 * input.shape[$1] })
      let batch = try [statistics[0], normalized.variance.squeeze(others) * (elements / (elements - 1))]
      let updated = try zip(batch, running).map { try $0 * momentum + $1.widened() * (1 - momentum) }
      return .tuple(([output] + statistics + updated).map { .reference($0) })
    }
    .derivative(
      of: "input", "weight", "bias",
      saving: ["input", "weight"] + (meanPosition == nil ? [] : ["running_mean", "running_var"]) + [
        "result1", "result2",
      ]
    ) { d -> [Value] in
      guard let gradient = d.gradients[0] else { return [.none, .none, .none] }
      let mask = ["input", "weight", "bias"].map { Value.bool(d.isNeeded($0)) }
      let running = meanPosition.map { [d.call.arguments[$0], d.call.arguments[$0 + 1]] } ?? [.none, .none]
      return try nativeBatchNormBackward.call([
        .reference(gradient), d["input"], d["weight"], running[0], running[1], .reference(d.results[1]),
        .reference(d.results[2]), .bool(try isTraining(d.call)),
        d.call.arguments[schema.parameters.count - 1], .list(mask),
      ]).elements ?? []
    }
    .auxiliary(results: 1, 2, 3, 4)
  }

  private static func updatingRunningStatistics(_ call: OperatorCall) throws -> [Value] {
    let arguments = call.arguments
    guard let mean = try call.optionalTensor(3), let variance = try call.optionalTensor(4) else {
      guard try call.bool(5), arguments[3].isNone, arguments[4].isNone else {
        throw OperatorError(
          .argument, call.target.name, "needs running mean and variance, or neither of them and training")
      }
      return try batchNormNoStatistics.call(Array(arguments[0...2] + arguments[5...7])).elements ?? []
    }
    guard try call.bool(5) else {
      return try batchNormNoTraining.call(Array(arguments[0...4] + arguments[6...7])).elements ?? []
    }
    // The gradient keeps the statistics that it is given, and these are about to be written to.
    let given = [Value.reference(try mean.clone()), .reference(try variance.clone())]
    let results = try batchNormFunctional.call(Array(arguments[0...2]) + given + Array(arguments[5...7])).elements ?? []
    for (running, updated) in zip([mean, variance], results.dropFirst(3)) {
      if let updated = updated.reference { try running.copy_(updated) }
    }
    return Array(results.prefix(3))
  }

  private static func lowerBatchNormBackward(
    _ call: LoweringCall, _ results: [Operand], _ builder: inout LoopBuilder
  ) throws {
    let isTraining = try call.bool(7)
    BatchNormLowering(input: try call.reference(1), weight: try call.optionalReference(2)).backward(
      results, gradient: try call.reference(0), mean: try call.reference(isTraining ? 5 : 3),
      scale: try call.reference(isTraining ? 6 : 4), isOfInput: isTraining, eps: try call.double(8),
      mask: try call.bools(9), &builder)
  }

  private static let normParameters = ["weight", "bias", "running_mean", "running_var"]

  /// The channels of an input [N, C, …].
  ///
  /// - Throws: `OperatorError` where there is no such dimension, or a parameter or statistic has not one element per channel.
  private static func channelCount(_ call: OperatorCall, _ input: Tensor) throws -> SymInt {
    guard input.rank >= 2, input.dtype.isFloatingPoint else {
      throw OperatorError(
        .shape, call.target.name, "needs a floating-point input [N, C, …], got \(input.dtype) \(input.sizes)")
    }
    for name in normParameters {
      guard let position = call.target.schema.index(of: name), let tensor = try call.optionalTensor(position) else {
        continue
      }
      guard tensor.sizes == [input.sizes[1]] else {
        throw OperatorError(
          .shape, call.target.name, "\(name) must have shape [\(input.sizes[1])], got \(tensor.sizes)")
      }
    }
    return input.sizes[1]
  }
}

extension Tensor {
  /// One element per channel, placed to broadcast against [N, C, …] of that rank.
  func perChannel(rank: Int) throws -> Tensor {
    try view([1, sizes[0]] + [SymInt](repeating: 1, count: rank - 2))
  }

  /// Normalized per channel, dimension 1. In training, the running statistics there are follow in place.
  public func batchNorm(
    weight: Tensor? = nil, bias: Tensor? = nil, runningMean: Tensor? = nil, runningVariance: Tensor? = nil,
    isTraining: Bool, momentum: Double = 0.1, eps: Double = 1e-5
  ) throws -> Tensor {
    let tensors = [weight, bias, runningMean, runningVariance].map { $0.map { Value.reference($0) } ?? .none }
    return try OperatorLibrary.batchNorm.firstResult(
      [.reference(self)] + tensors + [.bool(isTraining), .double(momentum), .double(eps), .bool(false)])
  }
}
