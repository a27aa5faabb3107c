import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let logSigmoids = [logSigmoidForward, logSigmoidBackward, logSigmoid]

  /// log(1 / (1 + exp(-x))) without overflow, and exp(-|x|) for its derivative.
  public static let logSigmoidForward: OperatorDefinition = {
    let schema = OperatorSchema(wellFormed: "log_sigmoid_forward(Tensor self) -> (Tensor output, Tensor buffer)")
    let rule = PointwiseRule(schema, operands: nil, promotion: .common, isContiguous: true)
    return OperatorDefinition(
      schema: schema, traits: .pointwise,
      .kernel(
        shape: { call in
          let meta = try rule.result(of: call)
          guard meta.dtype.isFloatingPoint else {
            throw OperatorError(.dtype, call.target.name, "is not defined for \(meta.dtype)")
          }
          return [meta, meta]
        },
        lowering: { call, results, builder in
          let input = try call.reference(0)
          let decay = ScalarExpression.unary(.exp, -.unary(.absolute, .load(0)))
          builder.pointwise([input], to: results[0]) { .binary(.minimum, $0[0], 0) - .unary(.log1p, decay) }
          builder.pointwise([input], to: results[1]) { _ in decay }
        })
    )
    .derivative(saving: ["self", "result1"]) { d in
      try logSigmoidBackward(.reference(d.gradient), d["self"], .reference(d.results[1]))
    }
    .auxiliary(results: 1)
  }()

  public static let logSigmoidBackward: OperatorDefinition = pointwise(
    "log_sigmoid_backward(Tensor grad_output, Tensor self, Tensor buffer) -> Tensor", accepts: .floatingPoint
  ) { x, _ in
    let share = x[2] / (1 + x[2])
    return x[0] * select(x[1] .< 0, 1 - share, share)
  }
  .derivative(of: "grad_output", saving: ["self", "buffer"]) { d in
    try logSigmoidBackward(.reference(d.gradient), d["self"], d["buffer"])
  }
  .derivative(of: "self", saving: ["grad_output", "self"]) { d in
    let sigmoid = try d.tensor("self").sigmoid()
    return try d.gradient * d["grad_output"] * (sigmoid - 1) * sigmoid
  }

  public static let logSigmoid = OperatorDefinition(
    "log_sigmoid(Tensor self) -> Tensor", .composite { .reference(try logSigmoidForward.firstResult($0.arguments)) })
}

extension Tensor {
  /// The logarithm of `sigmoid`, without overflow.
  public func logSigmoid() throws -> Tensor { try OperatorLibrary.logSigmoid(.reference(self)) }
}
