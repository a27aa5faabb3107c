import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let rmsNorms = [fusedRMSNorm, fusedRMSNormBackward, rmsNorm]

  /// x · rstd · weight, with rstd = 1/√(mean of squares + eps) over the last dimensions. Results: output, and rstd with those
  /// dimensions of size 1, in the type that is computed in. Without an eps it is that type's distance from 1 to the next number.
  public static let fusedRMSNorm = OperatorDefinition(
    "_fused_rms_norm(Tensor input, int[] normalized_shape, Tensor? weight, float? eps) -> (Tensor, Tensor)",
    traits: .reduction,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        let axis = try fusedAxis(call, input: input, shapeAt: 1, weightAt: 2)
        let sizes = input.sizes.indices.map { $0 < axis ? input.sizes[$0] : 1 }
        return [
          TensorMeta(dtype: input.dtype, sizes: input.sizes, device: input.device),
          TensorMeta(dtype: input.dtype.accumulator, sizes: sizes, device: input.device),
        ]
      },
      lowering: { call, results, builder in
        let input = try call.reference(0)
        let folded = try call.lastDimensions(of: input, countAt: 1)
        let dtype = input.dtype.accumulator
        let element = ScalarExpression.cast(dtype, .load(0))
        let eps = try call.optionalScalar(3)?.doubleValue ?? dtype.epsilon
        let rstd = ScalarExpression.unary(.rsqrt, .reduced(0) / input.count(over: folded) + .constant(.double(eps)))
        let weight = try call.optionalReference(2)
        let output = weight == nil ? element * rstd : element * rstd * .cast(dtype, .load(1))
        builder.rows(
          [input] + [weight].compactMap(\.self), of: input.sizes, over: folded,
          reductions: [.init(.sum, element * element, dtype: dtype)],
          outer: [(results[1].droppingReduced(true, folded), rstd)], full: [(results[0], output)])
      })
  )
  .derivative(of: "input", "weight", saving: ["input", "weight", "result1"]) { d -> [Value] in
    var gradients: [Value] = [.none, .none]
    if let gradient = d.gradients[0] {
      gradients =
        try fusedRMSNormBackward.call([
          .reference(gradient), d["input"], d["normalized_shape"], .reference(d.results[1]), d["weight"],
          .list([.bool(d.isNeeded("input")), .bool(d.isNeeded("weight"))]),
        ]).elements ?? []
    }
    if d.isNeeded("input"), let gradient = d.gradients[1] {
      let (input, rstd) = (try d.tensor("input").converted(to: d.results[1].dtype), d.results[1])
      let count = try input.shape.suffix(d.call.ints(1).count).reduce(1, *)
      let throughScale = try -(gradient * rstd.pow(3) * input / count)
      gradients[0] = .reference(try gradients[0].reference?.add(throughScale) ?? throughScale)
    }
    return gradients
  }

  /// The gradients of `_fused_rms_norm`'s output for input and weight, those that the mask asks for.
  public static let fusedRMSNormBackward = OperatorDefinition(
    """
    _fused_rms_norm_backward(Tensor grad_out, Tensor input, int[] normalized_shape, Tensor rstd, Tensor? weight, \
    bool[2] output_mask) -> (Tensor, Tensor)
    """, traits: .reduction,
    .kernel(
      shape: { call in
        let (gradient, input) = (try call.tensor(0), try call.tensor(1))
        let axis = try fusedAxis(call, input: input, shapeAt: 2, weightAt: 4)
        let statistics = input.sizes.indices.map { $0 < axis ? input.sizes[$0] : 1 }
        guard gradient.sizes == input.sizes, try call.tensor(3).sizes == statistics else {
          throw OperatorError(
            .shape, call.target.name,
            "needs a gradient in the input's shape \(input.sizes) and 'rstd' in \(statistics), got \(gradient.sizes) and \(try call.tensor(3).sizes)"
          )
        }
        let mask = try call.bools(5)
        guard mask.count == 2 else { throw call.mismatch(5, "2 bools") }
        let weight = try call.optionalTensor(4)
        return [
          mask[0] ? TensorMeta(dtype: input.dtype, sizes: input.sizes, device: input.device) : nil,
          mask[1] ? weight.map { TensorMeta(dtype: $0.dtype, sizes: $0.sizes, device: $0.device) } : nil,
        ]
      },
      lowering: { call, results, builder in
        let input = try call.reference(1)
        let folded = try call.lastDimensions(of: input, countAt: 2)
        let dtype = input.dtype.accumulator
        let mask = try call.bools(5)
        let weight = try call.optionalReference(4)
        var remaining = results[...]
        let inputs = [try call.reference(0), input, try call.reference(3)]
        let gradient = ScalarExpression.cast(dtype, .load(0))
        let rstd = ScalarExpression.cast(dtype, .load(2))
        let normalized = ScalarExpression.cast(dtype, .load(1)) * rstd
        if mask[0] {
          let scaled = weight == nil ? gradient : gradient * .cast(dtype, .load(3))
          builder.rows(
            inputs + [weight].compactMap(\.self), of: input.sizes, over: folded,
            reductions: [.init(.sum, scaled * normalized, dtype: dtype)],
            full: [(remaining.removeFirst(), rstd * (scaled - normalized * .reduced(0) / input.count(over: folded)))])
        }
        if mask[1], weight != nil {
          builder.rows(
            inputs, of: input.sizes, over: Array(0..<input.sizes.count - folded.count),
            reductions: [.init(.sum, gradient * normalized, dtype: dtype)],
            outer: [(remaining.removeFirst(), .reduced(0))])
        }
      })
  )
  .derivative(of: "grad_out", "input", "weight", saving: ["grad_out", "input", "rstd", "weight"]) { d -> [Value] in
    let input = try d.tensor("input")
    let normalization = Normalization(
      gradient: try d.tensor("grad_out"), input: input, mean: nil, rstd: try d.tensor("rstd"),
      weight: try d.optionalTensor("weight"), folded: Array((input.rank - (try d.call.ints(2).count))..<input.rank))
    return try normalization.secondGradients(d.gradients + [nil]).map { $0.map { .reference($0) } ?? .none }
  }
  // A function of the input: its gradient has its part.
  .derivative(of: "rstd") { _ in nil }

  public static let rmsNorm = OperatorDefinition(
    "rms_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor",
    .composite { call in
      _ = try normalizedAxis(call, input: call.tensor(0), shapeAt: 1, parameters: [2])
      return .reference(try fusedRMSNorm.firstResult(call.arguments))
    })

  /// The first of the dimensions to normalize over: as PyTorch has it, how many sizes are named counts, not which.
  private static func fusedAxis(
    _ call: OperatorCall, input: Tensor, shapeAt: Int, weightAt: Int
  ) throws -> Int {
    let axis = input.rank - (try call.ints(shapeAt).count)
    guard axis >= 0, axis < input.rank, input.dtype.isFloatingPoint else {
      throw OperatorError(
        .shape, call.target.name,
        "needs a floating-point input with at least the dimensions of normalized_shape, got \(input.dtype) \(input.sizes)"
      )
    }
    if let weight = try call.optionalTensor(weightAt), weight.sizes[...] != input.sizes[axis...] {
      throw OperatorError(
        .shape, call.target.name, "weight must have shape \(input.sizes[axis...]), got \(weight.sizes)")
    }
    return axis
  }
}

extension DType {
  /// The distance from 1 to the next number.
  fileprivate var epsilon: Double { self == .float64 ? Double.ulpOfOne : Double(Float.ulpOfOne) }
}

extension Tensor {
  /// Divided by the root of the mean square over the last dimensions, then scaled by the weight.
  public func rmsNorm(_ normalizedShape: [Int], weight: Tensor? = nil, eps: Double? = nil) throws -> Tensor {
    try OperatorLibrary.rmsNorm(
      .reference(self), Value(normalizedShape), weight.map { .reference($0) } ?? .none,
      eps.map { .double($0) } ?? .none)
  }
}
