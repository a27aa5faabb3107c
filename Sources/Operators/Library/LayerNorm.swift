import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let layerNorms = [nativeLayerNorm, nativeLayerNormBackward, layerNorm]

  /// (x - mean) · rstd · weight + bias, with mean and 1/√(variance + eps) over the last dimensions. Results: output, and
  /// mean and rstd with those dimensions of size 1.
  public static let nativeLayerNorm = OperatorDefinition(
    """
    native_layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps) \
    -> (Tensor, Tensor, Tensor)
    """, traits: .reduction,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        let axis = try normalizedAxis(call, input: input, shapeAt: 1, parameters: [2, 3])
        let sizes = input.sizes.indices.map { $0 < axis ? input.sizes[$0] : 1 }
        let statistics = TensorMeta(
          dtype: try call.parameterDType(of: input, ["weight", "bias"]), sizes: sizes, device: input.device)
        return [TensorMeta(dtype: input.dtype, sizes: input.sizes, device: input.device), statistics, statistics]
      },
      lowering: { call, results, builder in
        let input = try call.reference(0)
        let folded = try call.lastDimensions(of: input, countAt: 1)
        let dtype = input.dtype.accumulator
        let count = input.count(over: folded)
        var inputs = [input]
        let centered = ScalarExpression.cast(dtype, .load(0)) - .reduced(0) / count
        let rstd = ScalarExpression.unary(.rsqrt, .reduced(1) / count + .constant(.double(try call.double(4))))
        var output = centered * rstd
        if let weight = try call.optionalReference(2) {
          output = output * .cast(dtype, .load(inputs.count))
          inputs.append(weight)
        }
        if let bias = try call.optionalReference(3) {
          output = output + .cast(dtype, .load(inputs.count))
          inputs.append(bias)
        }
        builder.rows(
          inputs, of: input.sizes, over: folded,
          reductions: [
            .init(.sum, .cast(dtype, .load(0)), dtype: dtype), .init(.sum, centered * centered, dtype: dtype),
          ],
          outer: [
            (results[1].droppingReduced(true, folded), .reduced(0) / count),
            (results[2].droppingReduced(true, folded), rstd),
          ], full: [(results[0], output)])
      })
  )
  .decomposition { call in
    let input = try call.tensor(0)
    let normalized = try input.widened().normalized(
      over: Array((input.rank - (try call.ints(1).count))..<input.rank), eps: call.double(4))
    let output = try normalized.output.scaledAndShifted(call.optionalTensor(2), call.optionalTensor(3))
    return .tuple([.reference(output), .reference(normalized.mean), .reference(normalized.rstd)])
  }
  .derivative(of: "input", "weight", "bias", saving: ["input", "weight", "bias", "result1", "result2"]) {
    d -> [Value] in
    guard let gradient = d.gradients[0] else { return [.none, .none, .none] }
    let mask = ["input", "weight", "bias"].map { Value.bool(d.isNeeded($0)) }
    return try nativeLayerNormBackward.call([
      .reference(gradient), d["input"], d["normalized_shape"], .reference(d.results[1]), .reference(d.results[2]),
      d["weight"], d["bias"], .list(mask),
    ]).elements ?? []
  }
  .auxiliary(results: 1, 2)

  /// The gradients of `native_layer_norm` for input, weight and bias, those that the mask asks for.
  public static let nativeLayerNormBackward = OperatorDefinition(
    """
    native_layer_norm_backward(Tensor grad_out, Tensor input, SymInt[] normalized_shape, Tensor mean, Tensor rstd, \
    Tensor? weight, Tensor? bias, bool[3] output_mask) -> (Tensor, Tensor, Tensor)
    """, traits: .reduction,
    .kernel(
      shape: { call in
        let input = try call.tensor(1)
        let axis = try normalizedAxis(call, input: input, shapeAt: 2, parameters: [5, 6])
        try call.checkGradient(call.tensor(0), of: input)
        _ = try call.parameterDType(of: input, ["weight", "bias", "mean", "rstd"])
        let mask = try call.bools(7)
        guard mask.count == 3 else { throw call.mismatch(7, "3 bools") }
        let (weight, bias) = (try call.optionalTensor(5), try call.optionalTensor(6))
        let parameters = Array(input.sizes[axis...])
        func meta(_ tensor: Tensor?) -> TensorMeta {
          TensorMeta(dtype: tensor?.dtype ?? input.dtype, sizes: parameters, device: input.device)
        }
        return [
          mask[0] ? TensorMeta(dtype: input.dtype, sizes: input.sizes, device: input.device) : nil,
          mask[1] && weight != nil ? meta(weight) : nil, mask[2] && bias != nil ? meta(bias) : nil,
        ]
      },
      lowering: { call, results, builder in try lowerLayerNormBackward(call, results, &builder) })
  )
  .decomposition { call in
    let input = try call.tensor(1)
    let axis = input.rank - (try call.ints(2).count)
    let normalization = Normalization(
      gradient: try call.tensor(0).widened(), input: try input.widened(), mean: try call.tensor(3).widened(),
      rstd: try call.tensor(4).widened(), weight: try call.optionalTensor(5)?.widened(),
      folded: Array(axis..<input.rank))
    return .tuple(
      try normalization.gradients(call.bools(7), others: Array(0..<axis)).map { $0.map { .reference($0) } ?? .none })
  }
  .derivative(
    of: "grad_out", "input", "weight",
    saving: ["grad_out", "input", "mean", "rstd", "weight"]
  ) { d -> [Value] in
    let input = try d.tensor("input")
    let normalization = Normalization(
      gradient: try d.tensor("grad_out"), input: input, mean: try d.tensor("mean"), rstd: try d.tensor("rstd"),
      weight: try d.optionalTensor("weight"), folded: Array((input.rank - (try d.call.ints(2).count))..<input.rank))
    return try normalization.secondGradients(d.gradients).map { $0.map { .reference($0) } ?? .none }
  }
  .derivative(of: "bias") { _ in nil }

  public static let layerNorm = OperatorDefinition(
    """
    layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, \
    bool cudnn_enable=True) -> Tensor
    """, .composite { call in .reference(try nativeLayerNorm.firstResult(Array(call.arguments.prefix(5)))) })

  private static func lowerLayerNormBackward(
    _ call: LoweringCall, _ results: [Operand], _ builder: inout LoopBuilder
  ) throws {
    let input = try call.reference(1)
    let folded = try call.lastDimensions(of: input, countAt: 2)
    let outer = Array(0..<input.sizes.count - folded.count)
    let dtype = input.dtype.accumulator
    let mask = try call.bools(7)
    let weight = try call.optionalReference(5)
    var remaining = results[...]
    let inputs = [try call.reference(0), input, try call.reference(3), try call.reference(4)]
    let gradient = ScalarExpression.cast(dtype, .load(0))
    let rstd = ScalarExpression.cast(dtype, .load(3))
    let normalized = (ScalarExpression.cast(dtype, .load(1)) - .cast(dtype, .load(2))) * rstd
    if mask[0] {
      let scaled = weight == nil ? gradient : gradient * .cast(dtype, .load(4))
      let count = input.count(over: folded)
      builder.rows(
        inputs + (weight.map { [$0] } ?? []), of: input.sizes, over: folded,
        reductions: [.init(.sum, scaled, dtype: dtype), .init(.sum, scaled * normalized, dtype: dtype)],
        full: [(remaining.removeFirst(), rstd * (scaled - (.reduced(0) + normalized * .reduced(1)) / count))])
    }
    for value in [
      mask[1] && weight != nil ? gradient * normalized : nil,
      try mask[2] && call.optionalReference(6) != nil ? gradient : nil,
    ] {
      guard let value else { continue }
      builder.rows(
        inputs, of: input.sizes, over: outer, reductions: [.init(.sum, value, dtype: dtype)],
        outer: [(remaining.removeFirst(), .reduced(0))])
    }
  }

  /// The first of the dimensions to normalize over.
  static func normalizedAxis(
    _ call: OperatorCall, input: Tensor, shapeAt position: Int, parameters: [Int]
  ) throws -> Int {
    let shape = try call.symInts(position)
    let axis = input.rank - shape.count
    guard !shape.isEmpty, axis >= 0, Array(input.sizes[axis...]) == shape else {
      throw OperatorError(
        .shape, call.target.name,
        "normalized_shape \(shape) must be the last sizes of the input, which has \(input.sizes)")
    }
    guard input.dtype.isFloatingPoint else {
      throw OperatorError(.dtype, call.target.name, "is not defined for \(input.dtype)")
    }
    for parameter in parameters {
      if let tensor = try call.optionalTensor(parameter), tensor.sizes != shape {
        throw OperatorError(
          .shape, call.target.name,
          "\(call.target.schema.parameters[parameter].name) must have shape \(shape), got \(tensor.sizes)")
      }
    }
    return axis
  }
}

extension Call where Reference == Operand {
  /// The dimensions of an input that the list at a position gives the sizes of: its last ones.
  func lastDimensions(of input: Operand, countAt position: Int) throws -> [Int] {
    Array((input.sizes.count - (try ints(position).count))..<input.sizes.count)
  }
}

extension Operand {
  /// How many elements some dimensions hold.
  func count(over dimensions: [Int]) -> ScalarExpression {
    .constant(.double(Double(dimensions.reduce(1) { $0 * sizes[$1] })))
  }
}

extension Tensor {
  /// Normalized over the last dimensions, then scaled and shifted by the parameters there are.
  public func layerNorm(
    _ normalizedShape: [Int], weight: Tensor? = nil, bias: Tensor? = nil, eps: Double = 1e-5
  ) throws -> Tensor {
    try OperatorLibrary.layerNorm(
      .reference(self), Value(normalizedShape), weight.map { .reference($0) } ?? .none,
      bias.map { .reference($0) } ?? .none, .double(eps))
  }
}
