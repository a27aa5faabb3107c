import GraphIR
import TensorCore

extension OperatorLibrary {
  static let instanceNorms = [instanceNorm]

  /// `batch_norm` of each sample [C, …] of [N, C, …] by itself; running statistics follow the mean over the samples.
  public static let instanceNorm = OperatorDefinition(
    """
    instance_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, \
    bool use_input_stats, float momentum, float eps, bool cudnn_enabled) -> Tensor
    """,
    .composite { call in
      let input = try call.tensor(0)
      guard input.rank >= 2 else {
        throw OperatorError(.shape, call.target.name, "needs an input [N, C, …], got \(input.sizes)")
      }
      let samples = input.sizes[0]
      let merged = [1, samples * input.sizes[1]] + input.sizes[2...]
      let repeated = try (1...4).map { try call.optionalTensor($0)?.repeated([samples]) }
      let output = try batchNorm(
        [.reference(input.contiguous().view(merged))] + repeated.map { $0.map { .reference($0) } ?? .none }
          + call.arguments[5...])
      for (position, followed) in zip([3, 4], repeated[2...]) where try call.bool(5) {
        guard let running = try call.optionalTensor(position), let followed else { continue }
        try running.copy_(followed.view([samples, input.sizes[1]]).mean([0]))
      }
      return .reference(try output.view(input.sizes))
    })
}

extension Tensor {
  /// Each sample of [N, C, …] normalized per channel. The running statistics there are follow in place.
  public func instanceNorm(
    weight: Tensor? = nil, bias: Tensor? = nil, runningMean: Tensor? = nil, runningVariance: Tensor? = nil,
    usesInputStatistics: Bool = true, momentum: Double = 0.1, eps: Double = 1e-5
  ) throws -> Tensor {
    let tensors = [weight, bias, runningMean, runningVariance].map { $0.map { Value.reference($0) } ?? .none }
    return try OperatorLibrary.instanceNorm(
      [.reference(self)] + tensors + [.bool(usesInputStatistics), .double(momentum), .double(eps), .bool(false)])
  }
}
