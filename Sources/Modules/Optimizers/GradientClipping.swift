import AOTAutograd

/// How gradients are kept from being too large, before they are used.
public enum GradientClipping: Sendable {
  /// All gradients are scaled alike such that their norm, as one vector, is at most this: `clip_grad_norm_`.
  ///
  /// - order: Which norm; 2 is the Euclidean one, infinity the largest element.
  case norm(Double, order: Double = 2)
  /// Each element is brought into `-limit...limit`: `clip_grad_value_`.
  case value(Double)

  /// The gradients as they are to be used. It can be captured; the gradients that are given are not changed.
  ///
  /// - Returns: For each gradient one of the same shape; and the norm of those that were given, where the clipping needs it.
  public func callAsFunction(_ gradients: [Tensor?]) throws -> (clipped: [Tensor?], norm: Tensor?) {
    try noGrad {
      switch self {
      case .value(let limit):
        return (try gradients.map { try $0?.clamp(min: .double(-limit), max: .double(limit)) }, nil)
      case .norm(let limit, let order):
        let present = gradients.compactMap(\.self)
        guard !present.isEmpty else { return (gradients, nil) }
        let norms = try present.map { try $0.norm(.double(order)) }
        let norm = try Tensor.stack(norms).norm(.double(order))
        let factor = try (limit / (norm + 1e-6)).clamp(max: 1)
        return (try gradients.map { try $0.map { try $0 * factor } }, norm)
      }
    }
  }

  /// Clips the gradients of parameters that have one, in place, before `Optimizer.step()`.
  ///
  /// - Returns: The norm that they had, where the clipping needs it.
  @discardableResult
  public func clip(_ parameters: [Tensor]) throws -> Tensor? {
    let gradients = parameters.map(\.grad)
    let (clipped, norm) = try self(gradients)
    try noGrad {
      for (gradient, value) in zip(gradients, clipped) { if let value { try gradient?.copy_(value) } }
    }
    return norm
  }
}
