import AOTAutograd

/// Gradient descent with momentum: v ← μ·v + g, p ← p − rate·v, in place, as one compiled function.
struct MomentumSGD {
  let parameters: [Tensor]
  private let velocities: [Tensor]
  private let update: AOTFunction<Void, [Tensor], [Tensor], [Tensor]>

  init(_ parameters: [Tensor], rate: Double, momentum: Double, configuration: AOTConfiguration) throws {
    self.parameters = parameters
    velocities = try parameters.map { try $0.zerosOfSameShape() }
    update = aotFunction(configuration: configuration) {
      (parameters: [Tensor], gradients: [Tensor], velocities: [Tensor]) in
      for ((parameter, gradient), velocity) in zip(zip(parameters, gradients), velocities) {
        try velocity.mul_(momentum).add_(gradient)
        try parameter.sub_(velocity, alpha: .double(rate))
      }
    }
  }

  /// Updates the parameters by their gradients, which are cleared.
  func step() throws {
    let gradients = try parameters.gradients()
    try noGrad { try update(parameters, gradients, velocities) }
    for parameter in parameters { parameter.grad = nil }
  }

  /// The compiled update, for the parameters' present gradients.
  func stages() throws -> AOTStages {
    try noGrad { try update.stages(parameters, velocities, velocities) }
  }
}

extension [Tensor] {
  /// - Throws: `DataError` where a parameter took no part in the loss.
  func gradients() throws -> [Tensor] {
    try enumerated().map { index, parameter in
      guard let gradient = parameter.grad else {
        throw DataError(description: "parameter \(index), of shape \(parameter.shape), got no gradient")
      }
      return gradient
    }
  }
}
