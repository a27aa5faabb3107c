import AOTAutograd

/// From a loss to updated parameters: what a training step does after its forward pass. It can be captured.
struct StepGradients {
  let optimizer: Optimizer
  let clipping: GradientClipping?
  /// How many batches make a step.
  let batchCount: Int
  /// Per parameter, the sum of the gradients of this step's batches before the last; none where one batch makes a step.
  let sums: [Tensor]

  init(_ optimizer: Optimizer, clipping: GradientClipping?, batchCount: Int) throws {
    guard batchCount > 0 else {
      throw ModuleError(.invalidSetting, "a training step cannot accumulate the gradients of \(batchCount) batches")
    }
    self.optimizer = optimizer
    self.clipping = clipping
    self.batchCount = batchCount
    sums = batchCount == 1 ? [] : try optimizer.parameters.map { try $0.tensor.detach().zerosLike() }
  }

  /// Adds the gradients of a batch to the sums.
  ///
  /// - Returns: The loss without its history.
  func accumulate(_ loss: Tensor) throws -> Tensor {
    let gradients = try gradients(of: loss)
    try noGrad {
      for (sum, gradient) in zip(sums, gradients) { if let gradient { try sum.add_(gradient) } }
    }
    return try loss.detach()
  }

  /// Updates the parameters by the gradients of a batch and the sums, which start anew.
  ///
  /// - Returns: The loss without its history.
  func update(_ loss: Tensor) throws -> Tensor {
    var gradients = try gradients(of: loss)
    try noGrad {
      if batchCount > 1 {
        gradients = try zip(sums, gradients).map { sum, gradient in try gradient.map { try sum + $0 } }
      }
      if let clipping { gradients = try clipping(gradients).clipped }
      try optimizer.update(by: gradients)
      for sum in sums { try sum.zero_() }
    }
    return try loss.detach()
  }

  /// Per parameter; nil for one that the loss does not depend on, and for a frozen one.
  private func gradients(of loss: Tensor) throws -> [Tensor?] {
    guard loss.elementCount == 1, loss.requiresGrad else {
      throw ModuleError(
        .notTrainable,
        "a training step needs a loss of one element that depends on a parameter; got one of shape \(loss.shape)"
          + (loss.requiresGrad ? "" : " that requires no gradient"))
    }
    let parameters = optimizer.parameters.map(\.tensor)
    let trained = parameters.indices.filter { parameters[$0].requiresGrad }
    let mean = batchCount == 1 ? loss : try loss / Double(batchCount)
    let found = try grad(of: [mean], with: trained.map { parameters[$0] }, allowUnused: true)
    guard found.contains(where: { $0 != nil }) else {
      throw ModuleError(.notTrainable, "the loss of a training step depends on none of the optimizer's parameters")
    }
    var gradients = [Tensor?](repeating: nil, count: parameters.count)
    for (index, gradient) in zip(trained, found) { gradients[index] = gradient }
    return gradients
  }
}
