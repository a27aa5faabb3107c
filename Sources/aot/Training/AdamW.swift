import AOTAutograd
import Foundation

/// Adam with decoupled weight decay (I. Loshchilov and F. Hutter, 2019), in place, as one compiled function.
///
/// The rate changes from step to step, so it is a tensor: a plain number would be compiled in.
struct AdamW {
  let parameters: [Tensor]
  private let means: [Tensor]
  private let squares: [Tensor]
  private var stepCount = 0
  private let update: AOTFunction<Void, [Tensor], [Tensor], [Tensor], [Tensor], Tensor>

  private static let (beta1, beta2) = (0.9, 0.99)

  init(_ parameters: [Tensor], decay: Double = 0.1, configuration: AOTConfiguration) throws {
    self.parameters = parameters
    means = try parameters.map { try $0.zerosOfSameShape() }
    squares = try parameters.map { try $0.zerosOfSameShape() }
    update = aotFunction(configuration: configuration) {
      (parameters: [Tensor], gradients: [Tensor], means: [Tensor], squares: [Tensor], rates: Tensor) in
      let (rate, step, bias) = (try rates.select(0, 0), try rates.select(0, 1), try rates.select(0, 2))
      for index in parameters.indices {
        let (parameter, gradient) = (parameters[index], gradients[index])
        try means[index].mul_(Self.beta1).add_(gradient, alpha: .double(1 - Self.beta1))
        try squares[index].mul_(Self.beta2).add_(gradient * gradient, alpha: .double(1 - Self.beta2))
        // Vectors are biases and scales of norms: they do not decay.
        if parameter.rank > 1 { try parameter.sub_(parameter * rate * decay) }
        try parameter.sub_(means[index] * step / (squares[index].sqrt() * bias + 1e-8))
      }
    }
  }

  /// Updates the parameters by their gradients, which are cleared.
  mutating func step(rate: Double) throws {
    stepCount += 1
    let gradients = try parameters.gradients()
    let rates = try rates(rate)
    try noGrad { try update(parameters, gradients, means, squares, rates) }
    for parameter in parameters { parameter.grad = nil }
  }

  /// The compiled update.
  func stages() throws -> AOTStages {
    try noGrad { try update.stages(parameters, means, means, squares, rates(0)) }
  }

  /// The rate, the rate with the first moment's bias corrected, and the factor that corrects the second moment's root.
  private func rates(_ rate: Double) throws -> Tensor {
    let steps = Double(max(stepCount, 1))
    let corrected = rate / (1 - pow(Self.beta1, steps))
    return try Tensor([Float(rate), Float(corrected), Float(1 / (1 - pow(Self.beta2, steps)).squareRoot())])
  }
}
