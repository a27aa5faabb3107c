import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let softmaxes = [
    softmaxForward, softmaxBackward, logSoftmaxForward, logSoftmaxBackward, softmax, logSoftmax, safeSoftmax, logsumexp,
  ]

  /// exp(x - max) / Σ exp(x - max) along a dimension.
  public static let softmaxForward = normalizing("_softmax", result: shiftedExponential / .reduced(1))
    .wideDecomposition { call in
      guard let shifted = try shifted(call) else { return try call.tensor(0) }
      let exponential = try shifted.exp()
      return try exponential / exponential.sum([call.int(1)], keepDimensions: true)
    }
    .derivative(saving: ["result"]) { d in
      try softmaxBackward(.reference(d.gradient), .reference(d.result), d["dim"], .dtype(d.tensor("self").dtype))
    }

  /// output · (grad - Σ grad · output)
  public static let softmaxBackward: OperatorDefinition = normalizingGradient(
    "_softmax_backward_data", folding: .load(0) * .load(1), result: (.load(0) - .reduced(0)) * .load(1)
  )
  .wideDecomposition { call in
    let (gradient, output) = (try call.tensor(0), try call.tensor(1))
    return try (gradient - (gradient * output).sum([call.int(2)], keepDimensions: true)) * output
  }
  .derivative(of: "grad_output", saving: ["output"]) { d in
    try softmaxBackward(.reference(d.gradient), d["output"], d["dim"], d["input_dtype"])
  }
  .derivative(of: "output", saving: ["grad_output", "output"]) { d in
    let (gradient, output) = (try d.tensor("grad_output"), try d.tensor("output"))
    let dimension = [try d.call.int(2)]
    let projected = try (gradient * output).sum(dimension, keepDimensions: true)
    let tangent = try (d.gradient * output).sum(dimension, keepDimensions: true)
    return try d.gradient * (gradient - projected) - gradient * tangent
  }

  /// x - max - log Σ exp(x - max) along a dimension.
  public static let logSoftmaxForward = normalizing(
    "_log_softmax", result: .load(0) - .reduced(0) - .unary(.log, .reduced(1))
  )
  .wideDecomposition { call in
    guard let shifted = try shifted(call) else { return try call.tensor(0) }
    return try shifted - shifted.exp().sum([call.int(1)], keepDimensions: true).log()
  }
  .derivative(saving: ["result"]) { d in
    try logSoftmaxBackward(.reference(d.gradient), .reference(d.result), d["dim"], .dtype(d.tensor("self").dtype))
  }

  /// grad - exp(output) · Σ grad
  public static let logSoftmaxBackward = normalizingGradient(
    "_log_softmax_backward_data", folding: .load(0), result: .load(0) - .unary(.exp, .load(1)) * .reduced(0)
  )
  .wideDecomposition { call in
    let (gradient, output) = (try call.tensor(0), try call.tensor(1))
    return try gradient - output.exp() * gradient.sum([call.int(2)], keepDimensions: true)
  }
  .derivative(of: "grad_output", saving: ["output"]) { d in
    let projected = try (d.gradient * d.tensor("output").exp()).sum([d.call.int(2)], keepDimensions: true)
    return try d.gradient - projected
  }
  .derivative(of: "output", saving: ["grad_output", "output"]) { d in
    let total = try d.tensor("grad_output").sum([d.call.int(2)], keepDimensions: true)
    return try -(d.gradient * d.tensor("output").exp() * total)
  }

  public static let softmax = OperatorDefinition(
    "softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
    .composite { call in
      let input = try call.tensor(0).converted(to: call.optionalDType(2) ?? call.tensor(0).dtype)
      return .reference(try softmaxForward(.reference(input), call.arguments[1], .bool(false)))
    })

  public static let logSoftmax = OperatorDefinition(
    "log_softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
    .composite { call in
      let input = try call.tensor(0).converted(to: call.optionalDType(2) ?? call.tensor(0).dtype)
      return .reference(try logSoftmaxForward(.reference(input), call.arguments[1], .bool(false)))
    })

  /// Softmax that gives zeros, not NaN, where everything is -∞.
  public static let safeSoftmax = OperatorDefinition(
    "_safe_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor", traits: .reduction,
    .kernel(
      shape: { call in
        let input = try call.tensor(0)
        _ = try call.dimension(1, rank: input.rank)
        let dtype = try call.optionalDType(2) ?? input.dtype
        guard dtype.isFloatingPoint else {
          throw OperatorError(.dtype, call.target.name, "is not defined for \(dtype)")
        }
        return [TensorMeta(dtype: dtype, sizes: input.sizes, device: input.device)]
      },
      lowering: { call, results, builder in
        let input = try call.reference(0)
        let accumulator = results[0].dtype.accumulator
        let element = ScalarExpression.cast(accumulator, .load(0))
        let shift = select(.reduced(0) .== .constant(.double(-.infinity)), 0, .reduced(0))
        let exponential = ScalarExpression.unary(.exp, element - shift)
        builder.rows(
          [input], of: input.sizes, over: input.sizes.isEmpty ? [] : [try call.dimension(1, rank: input.sizes.count)],
          reductions: [.init(.maximum, element, dtype: accumulator), .init(.sum, exponential, dtype: accumulator)],
          full: [(results[0], select(.reduced(1) .== 0, 0, exponential / .reduced(1)))])
      })
  )
  .decomposition { call in
    let input = try call.tensor(0).converted(to: call.optionalDType(2) ?? call.tensor(0).dtype)
    let isAnyThere = try input.ne(-Double.infinity).any([call.int(1)], keepDimensions: true)
    let result = try softmaxForward(.reference(input), call.arguments[1], .bool(false))
    return .reference(try isAnyThere.selecting(result, 0.0))
  }
  .derivative(saving: ["result"]) { d in
    try softmaxBackward(.reference(d.gradient), .reference(d.result), d["dim"], .dtype(d.result.dtype))
  }

  /// log Σ exp(x) over dimensions. Integers are promoted to the default floating-point type.
  public static let logsumexp: OperatorDefinition = {
    let schema = OperatorSchema(wellFormed: "logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor")
    let rule = ReductionRule(schema)
    return OperatorDefinition(
      schema: schema, traits: .reduction,
      .kernel(
        shape: { call in
          let dtype = try call.tensor(0).dtype
          return [try rule.meta(call, dtype: dtype.isFloatingPoint ? dtype : .float32)]
        },
        lowering: { call, results, builder in
          let accumulator = results[0].dtype.accumulator
          let element = ScalarExpression.cast(accumulator, .load(0))
          // Where all are -∞, or one is ∞, the largest element cannot be taken off.
          let shift = select(.unary(.absolute, .reduced(0)) .== .constant(.double(.infinity)), 0, .reduced(0))
          try rule.lower(
            call, to: results, &builder,
            values: [
              .init(.maximum, element, dtype: accumulator),
              .init(.sum, .unary(.exp, element - shift), dtype: accumulator),
            ], finish: [.unary(.log, .reduced(1)) + shift])
        })
    )
    .wideDecomposition { call in
      let input = try call.tensor(0) * 1.0
      let dimensions = try rule.dimensions(call, rank: input.rank)
      guard !input.layout.isEmpty else { return try input.sum(dimensions, keepDimensions: rule.keeps(call)).log() }
      let largest = try input.amax(dimensions, keepDimensions: true)
      // Where all are -∞, or one is ∞, the largest element cannot be taken off.
      let shift = try largest.abs().eq(Double.infinity).selecting(0.0, largest)
      let total = try (input - shift).exp().sum(dimensions, keepDimensions: rule.keeps(call))
      return try total.log() + (rule.keeps(call) ? shift : shift.squeeze(dimensions))
    }
    .derivative(saving: ["self", "result"]) { d in
      let weights = try (d.tensor("self") - rule.restored(d.result, d)).exp()
      return try rule.restored(d.gradient, d) * weights
    }
  }()

  // The element as the accumulator has it, its largest neighbour taken off.
  private static let shiftedExponential = ScalarExpression.unary(.exp, .load(0) - .reduced(0))

  /// The elements with the largest along the dimension taken off; nil where there are none.
  private static func shifted(_ call: OperatorCall) throws -> Tensor? {
    let input = try call.tensor(0)
    return input.layout.isEmpty ? nil : try input - input.amax([call.int(1)], keepDimensions: true)
  }

  private static func normalizing(_ name: String, result: ScalarExpression) -> OperatorDefinition {
    OperatorDefinition(
      "\(name)(Tensor self, int dim, bool half_to_float) -> Tensor", traits: .reduction,
      .kernel(
        shape: { call in
          let input = try call.tensor(0)
          _ = try call.dimension(1, rank: input.rank)
          guard input.dtype.isFloatingPoint, try !call.bool(2) else {
            throw OperatorError(
              .dtype, call.target.name, "needs floating point and half_to_float false, got \(input.dtype)")
          }
          return [TensorMeta(dtype: input.dtype, sizes: input.sizes, device: input.device)]
        },
        lowering: { call, results, builder in
          let input = try call.reference(0)
          let dimension = try call.dimension(1, rank: input.sizes.count)
          let accumulator = input.dtype.accumulator
          builder.rows(
            [input], of: input.sizes, over: input.sizes.isEmpty ? [] : [dimension],
            reductions: [
              .init(.maximum, .load(0), dtype: accumulator), .init(.sum, shiftedExponential, dtype: accumulator),
            ], full: [(results[0], result)])
        }))
  }

  private static func normalizingGradient(
    _ name: String, folding: ScalarExpression, result: ScalarExpression
  ) -> OperatorDefinition {
    OperatorDefinition(
      "\(name)(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor", traits: .reduction,
      .kernel(
        shape: { call in
          let (gradient, output) = (try call.tensor(0), try call.tensor(1))
          _ = try call.dimension(2, rank: output.rank)
          guard gradient.sizes == output.sizes, gradient.dtype == output.dtype else {
            throw OperatorError(
              .shape, call.target.name,
              "needs operands of one shape and dtype, got \(gradient.dtype) \(gradient.sizes) and \(output.dtype) \(output.sizes)"
            )
          }
          let dtype = try call.optionalDType(3) ?? gradient.dtype
          return [TensorMeta(dtype: dtype, sizes: gradient.sizes, device: gradient.device)]
        },
        lowering: { call, results, builder in
          let (gradient, output) = (try call.reference(0), try call.reference(1))
          let dimension = try call.dimension(2, rank: output.sizes.count)
          builder.rows(
            [gradient, output], of: output.sizes, over: output.sizes.isEmpty ? [] : [dimension],
            reductions: [.init(.sum, folding, dtype: output.dtype.accumulator)], full: [(results[0], result)])
        }))
  }
}

extension Tensor {
  /// exp(x) / Σ exp(x) along a dimension.
  public func softmax(_ dimension: Int, dtype: DType? = nil) throws -> Tensor {
    try OperatorLibrary.softmax(.reference(self), Value(dimension), Value(dtype))
  }

  /// The logarithm of `softmax`, without its loss of digits.
  public func logSoftmax(_ dimension: Int, dtype: DType? = nil) throws -> Tensor {
    try OperatorLibrary.logSoftmax(.reference(self), Value(dimension), Value(dtype))
  }

  /// log Σ exp(x) over dimensions.
  public func logSumExp(_ dimensions: [Int], keepDimensions: Bool = false) throws -> Tensor {
    try OperatorLibrary.logsumexp(.reference(self), Value(dimensions), .bool(keepDimensions))
  }
}
