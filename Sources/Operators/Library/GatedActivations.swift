import GraphIR
import LoopIR
import TensorCore

/// Activations that other numbers open and close.
extension OperatorLibrary {
  static let gatedActivations = [glu, gluBackward, prelu, preluKernel, preluKernelBackward]

  /// The first half along a dimension, times the sigmoid of the second.
  public static let glu: OperatorDefinition = OperatorDefinition(
    "glu(Tensor self, int dim=-1) -> Tensor", traits: .pointwise,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        var half = input.layout
        half.sizes = try halvedSizes(call, input, dimensionAt: 1)
        let layout = Layout(sizes: half.sizes, strides: pointwiseStrides(half.sizes, operands: [half]))
        return [TensorMeta(dtype: input.dtype, layout: layout, device: input.device)]
      },
      lowering: { call, results, builder in
        let halves = try halves(call.reference(0), along: call.dimension(1, rank: results[0].sizes.count))
        builder.pointwise(halves, to: results[0]) { $0[0] * logistic($0[1]) }
      })
  )
  .derivative(saving: ["self"]) { try gluBackward(.reference($0.gradient), $0["self"], $0["dim"]) }

  public static let gluBackward: OperatorDefinition = OperatorDefinition(
    "glu_backward(Tensor grad_output, Tensor self, int dim) -> Tensor", traits: .pointwise,
    .kernel(
      shape: { call in
        let (gradient, input) = (try call.tensor(0), try call.tensor(1))
        let half = try halvedSizes(call, input, dimensionAt: 2)
        guard gradient.dtype == input.dtype, try call.target.broadcast([gradient.sizes, half]) == half else {
          throw OperatorError(
            .shape, call.target.name,
            "a gradient \(gradient.dtype) \(gradient.sizes) does not fit a result \(input.dtype) \(half)")
        }
        return [TensorMeta(dtype: input.dtype, sizes: input.sizes, device: input.device)]
      },
      lowering: { call, results, builder in
        let dimension = try call.dimension(2, rank: results[0].sizes.count)
        let operands = try [call.reference(0)] + halves(call.reference(1), along: dimension)
        let outputs = halves(results[0], along: dimension)
        builder.pointwise(operands, to: outputs[0]) { $0[0] * logistic($0[2]) }
        builder.pointwise(operands, to: outputs[1]) { x in
          let gate = logistic(x[2])
          return x[0] * x[1] * gate * (1 - gate)
        }
      })
  )
  .derivative(of: "grad_output", saving: ["self"]) { d in
    let dimension = try d.call.dimension(2, rank: d.gradient.rank)
    let (parts, incoming) = (try d.tensor("self").halves(dimension), try d.gradient.halves(dimension))
    let gate = try parts[1].sigmoid()
    return try incoming[0] * gate + incoming[1] * parts[0] * (gate * (1 - gate))
  }
  .derivative(of: "self", saving: ["grad_output", "self"]) { d in
    let dimension = try d.call.dimension(2, rank: d.gradient.rank)
    let (parts, incoming) = (try d.tensor("self").halves(dimension), try d.gradient.halves(dimension))
    let gate = try parts[1].sigmoid()
    let slope = try gate * (1 - gate) * d["grad_output"]
    let gateChange = try slope * (incoming[0] + incoming[1] * parts[0] * (1 - gate * 2))
    return try Tensor.cat([incoming[1] * slope, gateChange], dimension: dimension)
  }

  /// x, below 0 scaled by a weight: one for all, or one for each element of dimension 1.
  public static let prelu = OperatorDefinition(
    "prelu(Tensor self, Tensor weight) -> Tensor",
    .composite { call in
      let (input, weight) = (try call.tensor(0), try call.tensor(1))
      let channels: SymInt = input.rank > 1 ? input.sizes[1] : 1
      guard weight.rank < 2, weight.elementCount == 1 || (input.rank > 0 && weight.sizes == [channels]) else {
        throw OperatorError(
          .shape, call.target.name,
          "needs one weight, or one for each of the \(channels) channels of \(input.sizes), got \(weight.sizes)")
      }
      let sizes = input.sizes.indices.map { $0 == 1 ? SymInt(weight.elementCount) : 1 }
      return .reference(try preluKernel(.reference(input), .reference(weight.view(sizes))))
    })

  public static let preluKernel: OperatorDefinition = pointwise(
    "_prelu_kernel(Tensor self, Tensor weight) -> Tensor", accepts: .floatingPoint, check: checkOneType
  ) { x, _ in select(x[0] .> 0, x[0], x[1] * x[0]) }
  .derivative(of: "self", "weight", saving: ["self", "weight"]) { d -> [Value] in
    try preluKernelBackward.several(.reference(d.gradient), d["self"], d["weight"]).map { .reference($0) }
  }

  /// The gradients of the input and, not yet summed, of the weight.
  public static let preluKernelBackward: OperatorDefinition = {
    let schema = OperatorSchema(
      wellFormed: "_prelu_kernel_backward(Tensor grad_output, Tensor self, Tensor weight) -> (Tensor, Tensor)")
    let inputGradient = PointwiseKernel(
      rule: PointwiseRule(schema, operands: nil, promotion: .common), accepts: .floatingPoint, check: checkOneType
    ) { x, _ in select(x[1] .> 0, x[0], x[2] * x[0]) }
    let weightGradient = PointwiseKernel(rule: inputGradient.rule) { x, _ in select(x[1] .> 0, 0, x[1] * x[0]) }
    return OperatorDefinition(
      schema: schema, traits: .pointwise,
      .kernel(
        shape: { call in
          let meta = try inputGradient.shape(call)
          return meta + meta
        },
        lowering: { call, results, builder in
          try inputGradient.lower(call, [results[0]], &builder)
          try weightGradient.lower(call, [results[1]], &builder)
        })
    )
    .derivative(of: "grad_output", "self", "weight", saving: ["grad_output", "self", "weight"]) { d -> [Value] in
      let (gradient, input, weight) = (try d.tensor("grad_output"), try d.tensor("self"), try d.tensor("weight"))
      let isPositive = try input.gt(0)
      let (byInput, byWeight) = (d.gradients[0], d.gradients[1])
      func below(_ terms: Tensor?) throws -> Value {
        try terms.map { .reference(try isPositive.selecting(0.0, $0)) } ?? .none
      }
      let slopes = try [
        byInput.map { try isPositive.selecting($0, $0 * weight) },
        byWeight.map { try isPositive.selecting(0.0, $0 * input) },
      ].compactMap(\.self)
      return [
        .reference(try slopes.dropFirst().reduce(slopes[0]) { try $0 + $1 }),
        try below(byWeight.map { try $0 * gradient }), try below(byInput.map { try $0 * gradient }),
      ]
    }
  }()

  private static func halvedSizes(_ call: OperatorCall, _ input: Tensor, dimensionAt position: Int) throws -> [SymInt] {
    guard input.rank > 0, input.dtype.isFloatingPoint else {
      throw OperatorError(
        .shape, call.target.name,
        "needs a floating-point tensor with dimensions, got \(input.dtype) \(input.sizes)")
    }
    let dimension = try call.dimension(position, rank: input.rank)
    var sizes = input.sizes
    guard sizes[dimension].value.isMultiple(of: 2) else {
      throw OperatorError(.shape, call.target.name, "dimension \(dimension) of \(sizes) has no two halves")
    }
    sizes[dimension] = sizes[dimension] / 2
    return sizes
  }

  private static func halves(_ operand: Operand, along dimension: Int) -> [Operand] {
    let length = operand.sizes[dimension] / 2
    return [0, length].map { operand.narrowed(dimension, from: $0, length: length) }
  }

  @Sendable private static func checkOneType(_ call: OperatorCall, common: DType) throws {
    for tensor in call.allTensors where tensor.dtype != common {
      throw OperatorError(.dtype, call.target.name, "needs operands of one dtype, got \(common) and \(tensor.dtype)")
    }
  }
}

extension Tensor {
  fileprivate func halves(_ dimension: Int) throws -> [Tensor] {
    let length = shape[dimension] / 2
    return try [0, length].map { try narrow(dimension, from: $0, length: length) }
  }

  /// The first half along a dimension, times the sigmoid of the second.
  public func glu(_ dimension: Int = -1) throws -> Tensor {
    try OperatorLibrary.glu(.reference(self), Value(dimension))
  }

  /// This tensor, below 0 scaled by one weight, or by one for each element of dimension 1.
  public func prelu(_ weight: Tensor) throws -> Tensor {
    try OperatorLibrary.prelu(.reference(self), .reference(weight))
  }
}
