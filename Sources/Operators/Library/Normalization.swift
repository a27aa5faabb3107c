import GraphIR
import TensorCore

/// The backward pass of a normalization, s = grad · weight and x̂ = (x - mean) · rstd,
///
///     rstd · (s - mean(s) - x̂ · mean(s · x̂)),   Σ grad · x̂,   Σ grad,
///
/// without mean and mean(s) where the input is not centered, with all operands broadcastable to the input: what its own
/// derivative is computed from.
struct Normalization {
  let gradient: Tensor
  let input: Tensor
  /// nil where the input is not centered.
  let mean: Tensor?
  let rstd: Tensor
  let weight: Tensor?
  /// The dimensions that mean and rstd were taken over.
  let folded: [Int]
  /// Whether mean and rstd are functions of the input, as they are not when running statistics are used.
  var isOfInput = true

  /// The three results, those that the mask asks for; the second and third summed over the other dimensions.
  func gradients(_ mask: [Bool], others: [Int]) throws -> [Tensor?] {
    let normalized = try self.normalized()
    func sum(_ x: Tensor) throws -> Tensor { try others.isEmpty ? x : x.sum(others) }
    return [
      mask[0] ? try project(weight.map { try gradient * $0 } ?? gradient, normalized) : nil,
      mask[1] ? try sum(gradient * normalized) : nil, mask[2] ? try sum(gradient) : nil,
    ]
  }

  /// The gradients of Σ tangent · result, over the three results above, with respect to grad, input and weight. They have
  /// the input's shape: that of the weight is still to be summed.
  func secondGradients(_ tangents: [Tensor?]) throws -> [Tensor?] {
    let normalized = try self.normalized()
    let scaled = try weight.map { try gradient * $0 } ?? gradient
    var (toGradient, toInput, toWeight): (Tensor?, Tensor?, Tensor?)
    func add(_ x: Tensor, to sum: inout Tensor?) throws { sum = try sum?.add(x) ?? x }
    if let tangent = tangents[0] {
      // The first result is a symmetric map of s: it maps the tangent the same way.
      let mapped = try project(tangent, normalized)
      try add(weight.map { try mapped * $0 } ?? mapped, to: &toGradient)
      try add(mapped * gradient, to: &toWeight)
      if isOfInput {
        let (slope, tangentSlope) = (try average(scaled * normalized), try average(tangent * normalized))
        let toNormalized = try -(rstd * (tangent * slope + scaled * tangentSlope))
        let throughScale = try -(rstd * normalized * average(tangent * project(scaled, normalized)))
        try add(project(toNormalized, normalized) + throughScale, to: &toInput)
      }
    }
    if let tangent = tangents[1] {
      try add(normalized * tangent, to: &toGradient)
      try add(project(gradient * tangent, normalized), to: &toInput)
    }
    if let tangent = tangents[2] { try add(tangent.expand(gradient.sizes), to: &toGradient) }
    return [toGradient, toInput, toWeight]
  }

  private func normalized() throws -> Tensor { try (mean.map { try input - $0 } ?? input) * rstd }

  private func project(_ x: Tensor, _ normalized: Tensor) throws -> Tensor {
    if !isOfInput { return try rstd * x }
    let centered = try mean == nil ? x : x - average(x)
    return try rstd * (centered - normalized * average(x * normalized))
  }

  private func average(_ x: Tensor) throws -> Tensor {
    try folded.isEmpty ? x : x.mean(folded, keepDimensions: true)
  }
}

extension Layout {
  /// The layout of a normalized input [N, C, …]: channels last where the input is so, else row-major.
  var normalized: Layout {
    let format: MemoryFormat = rank == 4 ? .channelsLast : rank == 5 ? .channelsLast3D : .contiguous
    let channelsLast = copied(format: format)
    return !isContiguous && isSameInMemory(as: channelsLast) ? channelsLast : Layout(contiguous: sizes)
  }
}

extension Call where Reference == Tensor {
  /// The type of a normalization's parameters and statistics, the arguments of these names that are there: the input's or,
  /// where that is half precision, float32.
  ///
  /// - Throws: `OperatorError` where they have another type, or the input is not floating-point.
  func parameterDType(of input: Tensor, _ names: [String]) throws -> DType {
    guard input.dtype.isFloatingPoint else {
      throw OperatorError(.dtype, target.name, "is not defined for \(input.dtype)")
    }
    let parameters = try names.compactMap { name in
      try target.schema.index(of: name).flatMap(optionalTensor).map { (name, $0.dtype) }
    }
    let dtype = parameters.first?.1 ?? input.dtype
    for (name, other) in parameters where other != dtype || (dtype != input.dtype && dtype != input.dtype.accumulator) {
      throw OperatorError(
        .dtype, target.name,
        "'\(name)' of type \(other) does not go with an input of type \(input.dtype) and parameters of type \(dtype)")
    }
    return dtype
  }

  /// - Throws: `OperatorError` where a gradient has not the shape and type of the input.
  func checkGradient(_ gradient: Tensor, of input: Tensor) throws {
    guard gradient.sizes == input.sizes, gradient.dtype == input.dtype else {
      throw OperatorError(
        .shape, target.name,
        "a gradient \(gradient.dtype) \(gradient.sizes) does not fit an input \(input.dtype) \(input.sizes)")
    }
  }
}

extension Tensor {
  /// (x - mean) / √(variance + eps) over dimensions, which keep size 1 in the statistics.
  func normalized(
    over dimensions: [Int], eps: Double
  ) throws -> (output: Tensor, mean: Tensor, variance: Tensor, rstd: Tensor) {
    let mean = try mean(dimensions, keepDimensions: true)
    let centered = try self - mean
    let variance = try centered.square().mean(dimensions, keepDimensions: true)
    let rstd = try (variance + eps).rsqrt()
    return (try centered * rstd, mean, variance, rstd)
  }

  /// This tensor times a weight, plus a bias, where there are such.
  func scaledAndShifted(_ weight: Tensor?, _ bias: Tensor?) throws -> Tensor {
    let scaled = try weight.map { try self * $0.widened() } ?? self
    return try bias.map { try scaled + $0.widened() } ?? scaled
  }
}
