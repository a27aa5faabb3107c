import GraphIR
import Operators
import TensorCore

/// What arrives somewhere as a gradient has to look like the value it is the gradient of.
enum GradientValidation {
  /// The gradient, summed over broadcast dimensions and converted where that makes it fit.
  ///
  /// - Parameter what: Says whose gradient it is, for the error.
  /// - Throws: `AutogradError` with code `invalidGradient` where it cannot fit.
  static func fitted(_ gradient: Tensor, to meta: TensorMeta, _ what: () -> String) throws -> Tensor {
    if gradient.sizes == meta.sizes && gradient.dtype == meta.dtype && gradient.device == meta.device {
      return gradient
    }
    guard gradient.device == meta.device else {
      throw AutogradError(
        .invalidGradient, "\(what()) is on \(gradient.device), but its value is on \(meta.device)")
    }
    guard meta.sizes.isBroadcastable(to: gradient.sizes) else {
      throw AutogradError(
        .invalidGradient, "\(what()) has shape \(gradient.sizes), but its value has shape \(meta.sizes)")
    }
    return try gradient.summed(to: meta.sizes).converted(to: meta.dtype)
  }
}

extension [SymInt] {
  fileprivate func isBroadcastable(to wanted: [SymInt]) -> Bool {
    count <= wanted.count && zip(reversed(), wanted.reversed()).allSatisfy { $0 == $1 || $0 == 1 }
  }
}
