import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let groupNorms = [nativeGroupNorm, nativeGroupNormBackward, groupNorm]

  /// (x - mean) · rstd · weight + bias of [N, C, …], with mean and 1/√(variance + eps) over each of `group` groups of
  /// channels. Results: output, mean and rstd [N, group].
  public static let nativeGroupNorm = OperatorDefinition(
    """
    native_group_norm(Tensor input, Tensor? weight, Tensor? bias, SymInt N, SymInt C, SymInt HxW, int group, float eps) \
    -> (Tensor, Tensor, Tensor)
    """, traits: .reduction,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        let groups = try checkedGroups(call, input, parameters: [1, 2], sizesAt: 3)
        let statistics = TensorMeta(
          dtype: try call.parameterDType(of: input, ["weight", "bias"]), sizes: [input.sizes[0], SymInt(groups)],
          device: input.device)
        let output = TensorMeta(
          dtype: input.dtype, layout: input.layout.normalized, device: input.device)
        return [output, statistics, statistics]
      },
      lowering: { call, results, builder in
        let groups = try call.int(6)
        let input = try call.reference(0).grouping(1, into: groups)
        let folded = Array(2..<input.sizes.count)
        let dtype = input.dtype.accumulator
        let count = input.count(over: folded)
        let centered = ScalarExpression.cast(dtype, .load(0)) - .reduced(0) / count
        let rstd = ScalarExpression.unary(.rsqrt, .reduced(1) / count + .constant(.double(try call.double(7))))
        var inputs = [input]
        var output = centered * rstd
        if let weight = try call.optionalReference(1) {
          output = output * .cast(dtype, .load(inputs.count))
          inputs.append(weight.grouping(0, into: groups).followed(by: input.sizes.count - 3))
        }
        if let bias = try call.optionalReference(2) {
          output = output + .cast(dtype, .load(inputs.count))
          inputs.append(bias.grouping(0, into: groups).followed(by: input.sizes.count - 3))
        }
        builder.rows(
          inputs, of: input.sizes, over: folded,
          reductions: [
            .init(.sum, .cast(dtype, .load(0)), dtype: dtype), .init(.sum, centered * centered, dtype: dtype),
          ], outer: [(results[1], .reduced(0) / count), (results[2], rstd)],
          full: [(results[0].grouping(1, into: groups), output)])
      })
  )
  .derivative(of: "input", "weight", "bias", saving: ["input", "weight", "result1", "result2"]) { d -> [Value] in
    var gradients: [Value] = [.none, .none, .none]
    if let gradient = d.gradients[0] {
      let mask = ["input", "weight", "bias"].map { Value.bool(d.isNeeded($0)) }
      gradients =
        try nativeGroupNormBackward.call([
          .reference(gradient), d["input"], .reference(d.results[1]), .reference(d.results[2]), d["weight"], d["N"],
          d["C"], d["HxW"], d["group"], .list(mask),
        ]).elements ?? []
    }
    if d.isNeeded("input"), let throughStatistics = try statisticsGradient(d) {
      gradients[0] = .reference(try gradients[0].reference?.add(throughStatistics) ?? throughStatistics)
    }
    return gradients
  }

  /// The gradients of `native_group_norm` for input, weight and bias, those that the mask asks for.
  public static let nativeGroupNormBackward = OperatorDefinition(
    """
    native_group_norm_backward(Tensor grad_out, Tensor input, Tensor mean, Tensor rstd, Tensor? weight, SymInt N, \
    SymInt C, SymInt HxW, int group, bool[3] output_mask) -> (Tensor, Tensor, Tensor)
    """, traits: .reduction,
    .kernel(
      shape: { call in
        let (gradient, input) = (try call.tensor(0), try call.tensor(1))
        let groups = try checkedGroups(call, input, parameters: [4], sizesAt: 5)
        let statistics = [input.sizes[0], SymInt(groups)]
        guard gradient.sizes == input.sizes, try call.tensor(2).sizes == statistics,
          try call.tensor(3).sizes == statistics
        else {
          throw OperatorError(
            .shape, call.target.name,
            "needs a gradient in the input's shape \(input.sizes) and statistics \(statistics), got \(gradient.sizes), \(try call.tensor(2).sizes) and \(try call.tensor(3).sizes)"
          )
        }
        let mask = try call.bools(9)
        guard mask.count == 3 else { throw call.mismatch(9, "3 bools") }
        let parameter = TensorMeta(
          dtype: try call.parameterDType(of: input, ["weight", "mean", "rstd"]), sizes: [input.sizes[1]],
          device: input.device)
        let layout = input.layout.normalized
        return [
          mask[0] ? TensorMeta(dtype: input.dtype, layout: layout, device: input.device) : nil,
          mask[1] ? parameter : nil, mask[2] ? parameter : nil,
        ]
      },
      lowering: { call, results, builder in try lowerGroupNormBackward(call, results, &builder) })
  )
  .derivative(
    of: "grad_out", "input", "weight", saving: ["grad_out", "input", "mean", "rstd", "weight"]
  ) { d -> [Value] in
    let input = try d.tensor("input")
    let groups = SymInt(try d.call.int(8))
    let split = [input.sizes[0], groups, input.sizes[1] / groups, -1]
    let perGroup = [input.sizes[0], groups, 1, 1]
    let perChannel = [1, groups, input.sizes[1] / groups, 1]
    let normalization = Normalization(
      gradient: try d.tensor("grad_out").reshape(split), input: try input.reshape(split),
      mean: try d.tensor("mean").reshape(perGroup), rstd: try d.tensor("rstd").reshape(perGroup),
      weight: try d.optionalTensor("weight")?.reshape(perChannel), folded: [2, 3])
    let tangents = try d.gradients.map { try $0.map { try $0.reshape($0.rank == 1 ? perChannel : split) } }
    let gradients = try normalization.secondGradients(tangents)
    return try [
      gradients[0]?.reshape(input.sizes), gradients[1]?.reshape(input.sizes),
      gradients[2]?.sum([0, 3]).reshape([input.sizes[1]]),
    ].map { $0.map { .reference($0) } ?? .none }
  }
  // Functions of the input: its gradient has their part.
  .derivative(of: "mean", "rstd") { _ -> [Value] in [.none, .none] }

  public static let groupNorm = OperatorDefinition(
    """
    group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, \
    bool cudnn_enabled=True) -> Tensor
    """,
    .composite { call in
      let input = try call.tensor(0)
      guard input.rank >= 2 else {
        throw OperatorError(.shape, call.target.name, "needs an input [N, C, …], got \(input.sizes)")
      }
      let rest = input.sizes.dropFirst(2).reduce(SymInt(1), *)
      return .reference(
        try nativeGroupNorm.firstResult([
          .reference(input), call.arguments[2], call.arguments[3], .int(input.sizes[0]), .int(input.sizes[1]),
          .int(rest),
          call.arguments[1], call.arguments[4],
        ]))
    })

  /// What the gradients of mean and rstd make of the input's, where there are any.
  private static func statisticsGradient(_ d: DerivativeContext) throws -> Tensor? {
    guard d.gradients[1] != nil || d.gradients[2] != nil else { return nil }
    let input = try d.tensor("input")
    let perGroup = d.results[1].sizes + [1]
    let rows = try input.reshape(d.results[1].sizes + [-1])
    let rstd = try d.results[2].reshape(perGroup)
    let count = rows.shape[2]
    var total = try rows.zerosLike()
    if let gradient = d.gradients[1] { total = try total + gradient.reshape(perGroup) / count }
    if let gradient = d.gradients[2] {
      let centered = try rows - d.results[1].reshape(perGroup)
      total = try total - gradient.reshape(perGroup) * rstd.pow(3) * centered / count
    }
    return try total.reshape(input.sizes)
  }

  private static func lowerGroupNormBackward(
    _ call: LoweringCall, _ results: [Operand], _ builder: inout LoopBuilder
  ) throws {
    let groups = try call.int(8)
    let input = try call.reference(1).grouping(1, into: groups)
    let rank = input.sizes.count
    let folded = Array(2..<rank)
    let others = [0] + Array(3..<rank)
    let dtype = input.dtype.accumulator
    let mask = try call.bools(9)
    var remaining = results[...]
    var inputs = [
      try call.reference(0).grouping(1, into: groups), input, try call.reference(2).followed(by: rank - 2),
      try call.reference(3).followed(by: rank - 2),
    ]
    let gradient = ScalarExpression.cast(dtype, .load(0))
    let rstd = ScalarExpression.cast(dtype, .load(3))
    let normalized = (ScalarExpression.cast(dtype, .load(1)) - .cast(dtype, .load(2))) * rstd
    for value in [mask[1] ? gradient * normalized : nil, mask[2] ? gradient : nil].enumerated().reversed() {
      guard let expression = value.element else { continue }
      let output = remaining.removeLast()
      builder.rows(
        inputs, of: input.sizes, over: others, reductions: [.init(.sum, expression, dtype: dtype)],
        outer: [(output.grouping(0, into: groups), .reduced(0))])
    }
    guard mask[0] else { return }
    var scaled = gradient
    if let weight = try call.optionalReference(4) {
      scaled = scaled * .cast(dtype, .load(inputs.count))
      inputs.append(weight.grouping(0, into: groups).followed(by: rank - 3))
    }
    let count = input.count(over: folded)
    builder.rows(
      inputs, of: input.sizes, over: folded,
      reductions: [.init(.sum, scaled, dtype: dtype), .init(.sum, scaled * normalized, dtype: dtype)],
      full: [
        (
          results[0].grouping(1, into: groups),
          rstd * (scaled - (.reduced(0) + normalized * .reduced(1)) / count)
        )
      ])
  }

  private static func checkedGroups(
    _ call: OperatorCall, _ input: Tensor, parameters: [Int], sizesAt position: Int
  ) throws -> Int {
    let groups = try call.int(position + 3)
    let stated = try [call.int(position), call.int(position + 1), call.int(position + 2)]
    guard input.rank >= 2, input.dtype.isFloatingPoint, groups > 0, input.shape[1] % groups == 0,
      !input.sizes.dropFirst().contains(0),
      stated == [input.shape[0], input.shape[1], input.shape.dropFirst(2).reduce(1, *)]
    else {
      throw OperatorError(
        .shape, call.target.name,
        "needs a floating-point input [N, C, …] whose sizes are those stated, not 0 but for N, C a multiple of the number of groups, got \(input.dtype) \(input.sizes), stated \(stated), \(groups) groups"
      )
    }
    for parameter in parameters {
      if let tensor = try call.optionalTensor(parameter), tensor.sizes != [input.sizes[1]] {
        throw OperatorError(
          .shape, call.target.name,
          "\(call.target.schema.parameters[parameter].name) must have shape [\(input.sizes[1])], got \(tensor.sizes)")
      }
    }
    return groups
  }
}

extension Operand {
  /// A dimension seen as two, the first of the given size.
  func grouping(_ dimension: Int, into count: Int) -> Operand {
    var result = self
    let inner = count == 0 ? 1 : sizes[dimension] / count
    result.sizes.replaceSubrange(dimension...dimension, with: [count, inner])
    result.strides.replaceSubrange(dimension...dimension, with: [strides[dimension] * inner, strides[dimension]])
    return result
  }

  /// With more dimensions of size 1 at the end.
  fileprivate func followed(by count: Int) -> Operand {
    let rest = Array(repeating: 1, count: count)
    return viewed(as: sizes + rest, strides: strides + rest.map { _ in 0 }, offset: offset)
  }
}

extension Tensor {
  /// Normalized over groups of channels of [N, C, …].
  public func groupNorm(
    _ groups: Int, weight: Tensor? = nil, bias: Tensor? = nil, eps: Double = 1e-5
  ) throws -> Tensor {
    try OperatorLibrary.groupNorm(
      .reference(self), Value(groups), weight.map { .reference($0) } ?? .none, bias.map { .reference($0) } ?? .none,
      .double(eps))
  }
}
