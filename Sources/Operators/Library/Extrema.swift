import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let extrema = [
    maximum, minimum, clamp, clampTensor, clampMin, clampMinTensor, clampMax, clampMaxTensor,
  ]

  // A NaN on either side gives NaN. Where both sides are equal, each gets half of the gradient.

  public static let maximum = binary("maximum(Tensor self, Tensor other) -> Tensor") { .binary(.maximum, $0, $1) }
    .derivative(of: "self", saving: ["self", "other"]) { try greaterGradient($0, $0["self"], $0["other"]) }
    .derivative(of: "other", saving: ["self", "other"]) { try greaterGradient($0, $0["other"], $0["self"]) }

  public static let minimum = binary("minimum(Tensor self, Tensor other) -> Tensor") { .binary(.minimum, $0, $1) }
    .derivative(of: "self", saving: ["self", "other"]) { try lesserGradient($0, $0["self"], $0["other"]) }
    .derivative(of: "other", saving: ["self", "other"]) { try lesserGradient($0, $0["other"], $0["self"]) }

  /// Limited to a range; either end may be left out. The gradient passes strictly inside.
  public static let clamp = clamped(
    "clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor", ["self", "min", "max"]
  )
  .derivative(saving: ["self"]) { try clampGradient($0, includingEnds: false) }
  .inPlaceVariant()

  /// The gradient passes at the ends too, where they are tensors.
  public static let clampTensor = clamped(
    "clamp.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor", ["self", "min", "max"]
  )
  .derivative(of: "self", saving: ["self", "min", "max"]) { try clampGradient($0, includingEnds: true) }
  .derivative(of: "min", "max", saving: ["self", "min", "max"]) { d -> [Value] in
    let value = try d.tensor("self")
    let (low, high) = (try d.optionalTensor("min"), try d.optionalTensor("max"))
    var lowMask = try low.map { try value.lt($0) }
    var highMask = try high.map { try value.gt($0) }
    if let low, let high {
      lowMask = try lowMask?.logicalAnd(low.lt(high))
      highMask = try highMask?.logicalOr(high.lt(low))
    }
    return try [lowMask, highMask].map { mask in
      try mask.map { .reference(try $0.selecting(d.gradient, 0.0)) } ?? .none
    }
  }
  .inPlaceVariant()

  public static let clampMin = clamped("clamp_min(Tensor self, Scalar min) -> Tensor", ["self", "min"])
    .decomposition { try clamp.call($0.arguments + [.none]) }
    .derivative(saving: ["self"]) { try $0.tensor("self").gt($0["min"]).selecting($0.gradient, 0.0) }
    .inPlaceVariant()

  public static let clampMinTensor = clamped("clamp_min.Tensor(Tensor self, Tensor min) -> Tensor", ["self", "min"])
    .decomposition { try clampTensor.call($0.arguments + [.none]) }
    .derivative(of: "self", saving: ["self", "min"]) { try greaterGradient($0, $0["self"], $0["min"]) }
    .derivative(of: "min", saving: ["self", "min"]) { try greaterGradient($0, $0["min"], $0["self"]) }
    .inPlaceVariant()

  public static let clampMax = clamped("clamp_max(Tensor self, Scalar max) -> Tensor", ["self", "max"])
    .decomposition { try clamp.call([$0.arguments[0], .none, $0.arguments[1]]) }
    .derivative(saving: ["self"]) { try $0.tensor("self").lt($0["max"]).selecting($0.gradient, 0.0) }
    .inPlaceVariant()

  public static let clampMaxTensor = clamped("clamp_max.Tensor(Tensor self, Tensor max) -> Tensor", ["self", "max"])
    .decomposition { try clampTensor.call([$0.arguments[0], .none, $0.arguments[1]]) }
    .derivative(of: "self", saving: ["self", "max"]) { try lesserGradient($0, $0["self"], $0["max"]) }
    .derivative(of: "max", saving: ["self", "max"]) { try lesserGradient($0, $0["max"], $0["self"]) }
    .inPlaceVariant()

  private static func clamped(_ schema: String, _ operands: [String]) -> OperatorDefinition {
    pointwise(
      schema, operands: operands, accepts: .numeric,
      check: { call, _ in
        if call.arguments.dropFirst().allSatisfy(\.isNone) {
          throw OperatorError(.argument, call.target.name, "needs at least one of min and max")
        }
      }
    ) { x, call in
      zip(zip(operands, x), call.arguments).dropFirst().reduce(x[0]) { value, limit in
        let ((name, bound), argument) = limit
        if argument.isNone { return value }
        // A NaN limit in place of a number has no effect on comparison alone; min and max carry it over.
        return .binary(name == "min" ? .maximum : .minimum, value, bound)
      }
    }
  }

  private static func clampGradient(_ d: DerivativeContext, includingEnds: Bool) throws -> Tensor {
    let value = try d.tensor("self")
    let isAbove = d["min"].isNone ? nil : try includingEnds ? value.ge(d["min"]) : value.gt(d["min"])
    let isBelow = d["max"].isNone ? nil : try includingEnds ? value.le(d["max"]) : value.lt(d["max"])
    guard
      let mask = try isAbove.flatMap({ above in try isBelow.map { try above.logicalAnd($0) } }) ?? isAbove ?? isBelow
    else { return d.gradient }
    return try mask.selecting(d.gradient, 0.0)
  }

  // The gradient of one operand of a maximum or minimum: none where the other one is the result, half at a tie.

  private static func greaterGradient(_ d: DerivativeContext, _ operand: Value, _ other: Value) throws -> Tensor {
    try sharedAtTies(d, operand, other).maskedFill(isLess(operand, other), 0)
  }

  private static func lesserGradient(_ d: DerivativeContext, _ operand: Value, _ other: Value) throws -> Tensor {
    try sharedAtTies(d, operand, other).maskedFill(isLess(other, operand), 0)
  }

  private static func isLess(_ a: Value, _ b: Value) throws -> Tensor {
    if let tensor = a.reference { return try tensor.lt(b) }
    guard let tensor = b.reference else { throw OperatorError(.argument, lt.name, "needs a tensor among its operands") }
    return try tensor.gt(a)
  }

  private static func sharedAtTies(_ d: DerivativeContext, _ a: Value, _ b: Value) throws -> Tensor {
    guard let tensor = a.reference ?? b.reference else {
      throw OperatorError(.argument, eq.name, "needs a tensor among its operands")
    }
    let isTie = try tensor.eq(a.reference == nil ? a : b)
    return try isTie.selecting(d.gradient / 2, d.gradient)
  }
}

extension Tensor {
  public func maximum(_ other: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.maximum(.reference(self), other.operandValue)
  }

  public func minimum(_ other: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.minimum(.reference(self), other.operandValue)
  }

  /// Limited to a range; either end may be left out, not both.
  public func clamp(min: Scalar? = nil, max: Scalar? = nil) throws -> Tensor {
    try OperatorLibrary.clamp(.reference(self), min.map { Value($0) } ?? .none, max.map { Value($0) } ?? .none)
  }

  @discardableResult
  public func clamp_(min: Scalar? = nil, max: Scalar? = nil) throws -> Tensor {
    try OperatorLibrary.clamp.inPlace(.reference(self), min.map { Value($0) } ?? .none, max.map { Value($0) } ?? .none)
  }

  /// Limited to a range whose ends are tensors.
  public func clamp(min: Tensor?, max: Tensor?) throws -> Tensor {
    try OperatorLibrary.clampTensor(
      .reference(self), min.map { .reference($0) } ?? .none, max.map { .reference($0) } ?? .none)
  }
}
