import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let variances = [
    variance, varianceAll, varianceDim, standardDeviation, standardDeviationAll, standardDeviationDim, varianceMean,
    varianceMeanAll, varianceMeanDim, standardDeviationMean, standardDeviationMeanAll, standardDeviationMeanDim,
  ]

  // The mean squared distance from the mean, or its root, where the sum is divided by count - correction (1 unless given).

  public static let variance = spread(
    "var.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor",
    isRoot: false)
  public static let standardDeviation = spread(
    "std.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor",
    isRoot: true)
  public static let varianceMean = spread(
    """
    var_mean.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) \
    -> (Tensor, Tensor)
    """, isRoot: false)
  public static let standardDeviationMean = spread(
    """
    std_mean.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) \
    -> (Tensor, Tensor)
    """, isRoot: true)

  public static let varianceAll = unbiased("var(Tensor self, bool unbiased=True) -> Tensor", variance)
  public static let varianceDim = unbiased(
    "var.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor", variance)
  public static let standardDeviationAll = unbiased(
    "std(Tensor self, bool unbiased=True) -> Tensor", standardDeviation)
  public static let standardDeviationDim = unbiased(
    "std.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor", standardDeviation)
  public static let varianceMeanAll = unbiased(
    "var_mean(Tensor self, bool unbiased=True) -> (Tensor, Tensor)", varianceMean)
  public static let varianceMeanDim = unbiased(
    "var_mean.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)", varianceMean)
  public static let standardDeviationMeanAll = unbiased(
    "std_mean(Tensor self, bool unbiased=True) -> (Tensor, Tensor)", standardDeviationMean)
  public static let standardDeviationMeanDim = unbiased(
    "std_mean.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)",
    standardDeviationMean)

  private static func spread(_ text: String, isRoot: Bool) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let rule = ReductionRule(schema)
    let definition = OperatorDefinition(
      schema: schema, traits: .reduction,
      .kernel(
        shape: { call in
          let dtype = try call.tensor(0).dtype
          guard dtype.isFloatingPoint else {
            throw OperatorError(.dtype, call.target.name, "is not defined for \(dtype)")
          }
          _ = try call.optionalScalar(2)
          return Array(repeating: try rule.meta(call, dtype: dtype), count: schema.returns.count)
        },
        lowering: { call, results, builder in
          let input = try call.reference(0)
          let dtype = input.dtype.accumulator
          let count = Double(try rule.count(call, sizes: input.sizes))
          let element = ScalarExpression.cast(dtype, .load(0))
          let mean = .reduced(0) / ScalarExpression.constant(.double(count))
          let divisor = Swift.max(count - (try call.optionalScalar(2)?.doubleValue ?? 1), 0)
          let variance = ScalarExpression.reduced(1) / .constant(.double(divisor))
          try rule.lower(
            call, to: results, &builder,
            values: [
              .init(.sum, element, dtype: dtype), .init(.sum, (element - mean) * (element - mean), dtype: dtype),
            ], finish: [isRoot ? .unary(.sqrt, variance) : variance, mean])
        }))
    return definition.derivative(saving: isRoot ? ["self", "result0"] : ["self"]) { d in
      let input = try d.tensor("self")
      let dimensions = try rule.dimensions(d.call, rank: input.rank)
      let count = Double(try rule.count(d.call, sizes: input.shape))
      var total: Tensor?
      if var gradient = d.gradients[0] {
        if isRoot {
          gradient = try d.result.eq(0).selecting(0.0, gradient / (d.result * 2))
        }
        let divisor = try count - (d.call.optionalScalar(2)?.doubleValue ?? 1)
        let mean = try input.mean(dimensions, keepDimensions: true)
        // Where too little divides, PyTorch has ∞ on both sides of the mean of all elements, but not of dimensions that are
        // named.
        let namesDimensions = try d.call.optionalInts(1)?.isEmpty == false && input.rank > 0
        let slope =
          try divisor > 0 || namesDimensions
          ? (input - mean) * (2 / divisor) : input.eq(mean).selecting(Double.nan, Double.infinity)
        total = try rule.restored(gradient, d) * slope
      }
      if d.gradients.count > 1, let gradient = d.gradients[1] {
        let share = try rule.restored(gradient, d).expand(input.sizes) / count
        total = try total?.add(share) ?? share
      }
      return total
    }
  }

  private static func unbiased(_ text: String, _ general: OperatorDefinition) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let (dimension, keeps) = (schema.index(of: "dim"), schema.index(of: "keepdim"))
    let flag = schema.index(of: "unbiased") ?? 1
    return OperatorDefinition(
      schema: schema,
      .composite { call in
        try general.call([
          call.arguments[0], dimension.map { call.arguments[$0] } ?? .none, .int(try call.bool(flag) ? 1 : 0),
          keeps.map { call.arguments[$0] } ?? .bool(false),
        ])
      })
  }
}

extension Tensor {
  /// The variance over dimensions, or of all elements without any named: squared distances from the mean, summed and
  /// divided by count - correction.
  public func `var`(
    _ dimensions: [Int]? = nil, correction: Scalar = 1, keepDimensions: Bool = false
  ) throws -> Tensor {
    try OperatorLibrary.variance(.reference(self), Value(dimensions), Value(correction), .bool(keepDimensions))
  }

  /// The root of the variance.
  public func std(
    _ dimensions: [Int]? = nil, correction: Scalar = 1, keepDimensions: Bool = false
  ) throws -> Tensor {
    try OperatorLibrary.standardDeviation(
      .reference(self), Value(dimensions), Value(correction), .bool(keepDimensions))
  }
}
