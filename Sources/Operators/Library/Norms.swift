import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let norms = [vectorNorm, normAll, norm, normAllOfType, normOfType, dist]

  // (Σ |x|^order)^(1/order) over dimensions; none, or an empty list, means all. Order ∞ and -∞ take the largest and smallest
  // magnitude, 0 counts what is not 0.

  public static let vectorNorm = norm(
    """
    linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) \
    -> Tensor
    """)
  public static let normAll = norm("norm.Scalar(Tensor self, Scalar p=2) -> Tensor")
  public static let norm = norm(
    "norm.ScalarOpt_dim(Tensor self, Scalar? p, int[1] dim, bool keepdim=False) -> Tensor")
  public static let normAllOfType = norm(
    "norm.ScalarOpt_dtype(Tensor self, Scalar? p, *, ScalarType dtype) -> Tensor")
  public static let normOfType = norm(
    "norm.ScalarOpt_dim_dtype(Tensor self, Scalar? p, int[1] dim, bool keepdim, *, ScalarType dtype) -> Tensor")

  /// The norm of the difference.
  public static let dist: OperatorDefinition = .decomposed("dist(Tensor self, Tensor other, Scalar p=2) -> Tensor") {
    call in .reference(try normAll(.reference(call.tensor(0) - call.tensor(1)), call.arguments[2]))
  }
  .derivative(of: "self", saving: ["self", "other", "result"]) { try distanceGradient($0) }
  .derivative(of: "other", saving: ["self", "other", "result"]) { try -distanceGradient($0) }

  private static func distanceGradient(_ d: DerivativeContext) throws -> Tensor {
    try normGradient(d.tensor("self") - d.tensor("other"), d.gradient, d.result, d.call.double(2))
  }

  private static func norm(_ text: String) -> OperatorDefinition {
    let schema = OperatorSchema(wellFormed: text)
    let rule = ReductionRule(schema)
    let dtypePosition = schema.index(of: "dtype")
    return OperatorDefinition(
      schema: schema, traits: .reduction,
      .kernel(
        shape: { call in
          let input = try call.tensor(0)
          let dtype = try dtypePosition.flatMap(call.optionalDType) ?? input.dtype
          guard input.dtype.isFloatingPoint, dtype.isFloatingPoint,
            TypePromotion.promote(input.dtype, dtype) == dtype
          else {
            throw OperatorError(
              .dtype, call.target.name,
              "needs floating-point elements and a dtype no narrower, got \(input.dtype) to be computed in \(dtype)")
          }
          let order = try call.order
          if order < 0 || order.isInfinite { try rule.checkNotEmpty(call) }
          return [try rule.meta(call, dtype: dtype)]
        },
        lowering: { call, results, builder in
          let dtype = results[0].dtype.accumulator
          let element = ScalarExpression.cast(dtype, .load(0))
          let magnitude = ScalarExpression.unary(.absolute, element)
          let order = try call.order
          let (operation, value, result): (LoopKernel.Reduction.Operation, ScalarExpression, ScalarExpression)
          switch order {
          case .infinity: (operation, value, result) = (.maximum, magnitude, .reduced(0))
          case -.infinity: (operation, value, result) = (.minimum, magnitude, .reduced(0))
          case 0: (operation, value, result) = (.sum, .cast(dtype, .binary(.notEqual, element, 0)), .reduced(0))
          case 1: (operation, value, result) = (.sum, magnitude, .reduced(0))
          case 2: (operation, value, result) = (.sum, element * element, .unary(.sqrt, .reduced(0)))
          default:
            (operation, value) = (.sum, .binary(.power, magnitude, .constant(.double(order))))
            result = .binary(.power, .reduced(0), .constant(.double(1 / order)))
          }
          try rule.lower(
            call, to: results, &builder, values: [.init(operation, value, dtype: dtype)], finish: [result])
        })
    )
    .decomposition { call in
      let input = try call.tensor(0)
      let dtype = try dtypePosition.flatMap(call.optionalDType) ?? input.dtype
      let magnitude = try input.converted(to: dtype.accumulator).abs()
      let (dimensions, keeps) = (try rule.dimensions(call, rank: input.rank), try rule.keeps(call))
      func sum(_ terms: Tensor) throws -> Tensor { try terms.sum(dimensions, keepDimensions: keeps) }
      switch try call.order {
      case .infinity: return .reference(try magnitude.amax(dimensions, keepDimensions: keeps))
      case -.infinity: return .reference(try magnitude.amin(dimensions, keepDimensions: keeps))
      case 0: return .reference(try sum(magnitude.ne(0).converted(to: magnitude.dtype)))
      case 1: return .reference(try sum(magnitude))
      case 2: return .reference(try sum(magnitude * magnitude).sqrt())
      case let order: return .reference(try sum(magnitude.pow(order)).pow(1 / order))
      }
    }
    .derivative(saving: ["self", "result"]) { d in
      let input = try d.tensor("self").converted(to: d.gradient.dtype)
      return try normGradient(
        input, rule.restored(d.gradient, d), rule.restored(d.result, d), d.call.order,
        over: rule.dimensions(d.call, rank: input.rank))
    }
  }

  /// As PyTorch has it where the norm, or an element, is 0.
  ///
  /// - Parameter dimensions: Those that the norm, which has them in size 1, is taken over; nil for all.
  private static func normGradient(
    _ input: Tensor, _ gradient: Tensor, _ norm: Tensor, _ order: Double, over dimensions: [Int]? = nil
  ) throws -> Tensor {
    switch order {
    case 0: return try input.zerosLike()
    case 1: return try gradient * input.sgn()
    case 2: return try gradient * (input / norm).maskedFill(norm.eq(0), 0)
    case .infinity, -.infinity:
      let magnitude = try input.abs()
      let isExtremum = try magnitude.eq(norm).logicalOr(magnitude.isNaN().logicalAnd(norm.isNaN()))
      let count = try isExtremum.sum(dimensions, keepDimensions: true)
      return try input.sgn() * (gradient / count * isExtremum)
    case ..<1:
      let scaled = try (input.sgn() * input.abs().pow(order - 1)).maskedFill(input.eq(0), 0)
      return try scaled * gradient * norm.pow(1 - order)
    case ..<2:
      let scale = try (gradient / norm.pow(order - 1)).maskedFill(norm.eq(0), 0)
      return try input.sgn() * input.abs().pow(order - 1) * scale
    default:
      let scale = try (gradient / norm.pow(order - 1)).maskedFill(norm.eq(0), 0)
      return try input * input.abs().pow(order - 2) * scale
    }
  }
}

extension Call {
  /// A norm's order, the second argument: 2 where it is none.
  fileprivate var order: Double {
    get throws { try optionalScalar(1)?.doubleValue ?? 2 }
  }
}

extension Tensor {
  /// (Σ |x|^order)^(1/order) over dimensions, or of all elements without any named.
  public func norm(
    _ order: Scalar = 2, _ dimensions: [Int]? = nil, keepDimensions: Bool = false
  ) throws -> Tensor {
    try OperatorLibrary.vectorNorm(.reference(self), Value(order), Value(dimensions), .bool(keepDimensions))
  }

  /// The norm of the difference.
  public func dist(_ other: Tensor, _ order: Scalar = 2) throws -> Tensor {
    try OperatorLibrary.dist(.reference(self), .reference(other), Value(order))
  }
}
