import Foundation
import GraphIR
import LoopIR
import TensorCore

// Further distributions, in the size and type of a tensor; their in-place variants fill it.
extension OperatorLibrary {
  static let randomDistributions = [
    exponential, geometric, cauchy, logNormal, randomIntegers, randomIntegersTo, randomIntegersFrom,
    normalOfMeans, normalOfDeviations, normalElementwise, normalFactory,
  ]

  /// Exponential of the rate `lambd`.
  public static let exponential = drawnLike(
    "exponential(Tensor self, float lambd=1., *, Generator? generator=None) -> Tensor",
    check: { call, _ in guard try call.double(1) > 0 else { throw call.mismatch(1, "a positive rate") } },
    finish: { call, value in -.unary(.log1p, -value) / .constant(.double(try call.double(1))) }
  ) { _, _ in .uniform(bits: .float64) }
  .derivative { _ in nil }
  .inPlaceVariant()

  /// The number of trials, each a success with probability p, up to the first success.
  public static let geometric = drawnLike(
    "geometric(Tensor self, float p, *, Generator? generator=None) -> Tensor", accepts: .numeric,
    check: { call, _ in
      let p = try call.double(1)
      guard 0 < p, p < 1 else { throw call.mismatch(1, "a probability in (0, 1)") }
    },
    finish: { call, value in
      let failure = ScalarExpression.constant(.double(Foundation.log1p(-(try call.double(1)))))
      return .binary(.maximum, .unary(.ceil, .unary(.log1p, -value) / failure), 1.0)
    }
  ) { _, _ in .uniform(bits: .float64) }
  .derivative { _ in nil }
  .inPlaceVariant()

  public static let cauchy = drawnLike(
    "cauchy(Tensor self, float median=0., float sigma=1., *, Generator? generator=None) -> Tensor",
    check: { call, _ in guard try call.double(2) > 0 else { throw call.mismatch(2, "a positive width") } },
    finish: { call, value in
      let angle = (value - 0.5) * .constant(.double(.pi))
      let tangent = ScalarExpression.unary(.sin, angle) / .unary(.cos, angle)
      return .constant(.double(try call.double(1))) + .constant(.double(try call.double(2))) * tangent
    }
  ) { _, _ in .uniform(bits: .float64) }
  .derivative { _ in nil }
  .inPlaceVariant()

  /// The exponential of a normal number of a mean and standard deviation.
  public static let logNormal = drawnLike(
    "log_normal(Tensor self, float mean=1., float std=2., *, Generator? generator=None) -> Tensor",
    check: { call, _ in guard try call.double(2) > 0 else { throw call.mismatch(2, "a positive standard deviation") } },
    finish: { call, value in
      .unary(.exp, .constant(.double(try call.double(1))) + value * .constant(.double(try call.double(2))))
    }
  ) { _, _ in .normal }
  .derivative { _ in nil }
  .inPlaceVariant()

  /// Uniform integers, of all that the type holds exactly and are not negative.
  public static let randomIntegers = integers(
    "random(Tensor self, *, Generator? generator=None) -> Tensor"
  ) { _, dtype in 0..<dtype.integerEnd }

  /// Uniform integers in 0..<to.
  public static let randomIntegersTo = integers(
    "random.to(Tensor self, int to, *, Generator? generator=None) -> Tensor"
  ) { call, _ in try range(0, call.arguments[1], call.target) }

  /// Uniform integers in from..<to; without an end, to the last that the type holds.
  public static let randomIntegersFrom = integers(
    "random.from(Tensor self, int from, int? to, *, Generator? generator=None) -> Tensor"
  ) { call, dtype in
    try range(call.int(1), call.arguments[2].isNone ? .int(SymInt(dtype.integerEnd)) : call.arguments[2], call.target)
  }

  private static func range<Reference>(
    _ low: Int, _ end: Argument<Reference>, _ target: OperatorDefinition
  ) throws -> Range<Int> {
    guard case .int(let high) = end, low < high.value else {
      throw OperatorError(.argument, target.name, "needs from < to, got \(low)..<\(end)")
    }
    return low..<high.value
  }

  private static func integers(
    _ schema: String, _ range: @escaping @Sendable (LoweringCall, DType) throws -> Range<Int>
  ) -> OperatorDefinition {
    @Sendable func draw(_ call: LoweringCall, _ dtype: DType) throws -> RandomDraw {
      let range = try range(call, dtype)
      return .integer(low: range.lowerBound, high: range.upperBound)
    }
    return drawnLike(
      schema, accepts: .all,
      check: { call, dtype in try draw(call.withoutTensors, dtype).check(call, dtype: dtype) }
    ) { call, output in try draw(call, output.dtype) }
    .derivative { _ in nil }
    .inPlaceVariant()
  }

  // Normal of the elements of a tensor of means, or of standard deviations, or of both, broadcast.

  public static let normalOfMeans = normal(
    "normal.Tensor_float(Tensor mean, float std=1., *, Generator? generator=None) -> Tensor")
  public static let normalOfDeviations = normal(
    "normal.float_Tensor(float mean, Tensor std, *, Generator? generator=None) -> Tensor")
  public static let normalElementwise = normal(
    "normal.Tensor_Tensor(Tensor mean, Tensor std, *, Generator? generator=None) -> Tensor")

  private static func normal(_ schema: String) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .composite { call in
        let tensors = call.allTensors
        let sizes = try call.target.broadcast(tensors.map(\.sizes))
        if let std = call.arguments[1].scalar?.doubleValue, !(std >= 0) {
          throw call.mismatch(1, "a standard deviation of 0 or more")
        }
        let drawn = try randnLike(.reference(tensors[0].expand(sizes)))
        return .reference(try add(call.arguments[0], .reference(mul(.reference(drawn), call.arguments[1]))))
      })
  }

  /// Normal of a mean and standard deviation.
  public static let normalFactory = OperatorDefinition(
    """
    normal.float_float(float mean, float std, SymInt[] size, *, Generator? generator=None, \(factoryOptions)) -> Tensor
    """,
    .composite { call in
      let arguments = call.arguments
      let drawn = try randn(arguments[2], arguments[4], arguments[5], arguments[6], arguments[7])
      return .reference(try normal(.reference(drawn), arguments[0], arguments[1]))
    })
}

extension DType {
  /// One past the largest integer up to which the type holds all, as far as there is such an integer.
  fileprivate var integerEnd: Int {
    switch self {
    case .bool: 2
    case .uint8: 1 << 8
    case .int8: 1 << 7
    case .int16: 1 << 15
    case .int32: 1 << 31
    case .int64: .max
    case .float16, .bfloat16, .float32, .float64: 1 << significandBits + 1
    }
  }
}

extension Tensor {
  /// Overwrites this tensor with exponential numbers of a rate.
  @discardableResult
  public func exponential_(rate: Double = 1, generator: Generator? = nil) throws -> Tensor {
    try Self.drawing(generator) { try OperatorLibrary.exponential.inPlace(.reference(self), .double(rate)) }
  }

  /// Overwrites this tensor with uniform integers in a range.
  @discardableResult
  public func random_(_ range: Range<Int>, generator: Generator? = nil) throws -> Tensor {
    try Self.drawing(generator) {
      try OperatorLibrary.randomIntegersFrom.inPlace(
        .reference(self), Value(range.lowerBound), Value(range.upperBound))
    }
  }

  /// Normal numbers of these means and standard deviations, broadcast.
  public static func normal(mean: Tensor, std: Tensor, generator: Generator? = nil) throws -> Tensor {
    try drawing(generator) { try OperatorLibrary.normalElementwise(.reference(mean), .reference(std)) }
  }
}
