import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let extrema = [
    maximum, minimum, fmax, fmin, clamp, clampTensor, clampMin, clampMinTensor, clampMax, clampMaxTensor,
  ]

  // A NaN on either side gives NaN. Where both sides are equal, each gets half of the gradient.

  public static let maximum = binary("maximum(Tensor self, Tensor other) -> Tensor") { .binary(.maximum, $0, $1) }
    .derivative(of: "self", saving: ["self", "other"]) { try greaterGradient($0, $0["self"], $0["other"]) }
    .derivative(of: "other", saving: ["self", "other"]) { try greaterGradient($0, $0["other"], $0["self"]) }

  public static let minimum = binary("minimum(Tensor self, Tensor other) -> Tensor") { .binary(.minimum, $0, $1) }
    .derivative(of: "self", saving: ["self", "other"]) { try lesserGradient($0, $0["self"], $0["other"]) }
    .derivative(of: "other", saving: ["self", "other"]) { try lesserGradient($0, $0["other"], $0["self"]) }

  // The other side where one is NaN.

  public static let fmax = ignoringNaN("fmax", .maximum)
    .derivative(of: "self", saving: ["self", "other"]) { try numberGradient($0, of: "self", isLarger: true) }
    .derivative(of: "other", saving: ["self", "other"]) { try numberGradient($0, of: "other", isLarger: true) }

  public static let fmin = ignoringNaN("fmin", .minimum)
    .derivative(of: "self", saving: ["self", "other"]) { try numberGradient($0, of: "self", isLarger: false) }
    .derivative(of: "other", saving: ["self", "other"]) { try numberGradient($0, of: "other", isLarger: false) }

  /// Limited to a range; either end may be left out. The gradient passes strictly inside.
  public static let clamp = clamped(
    "clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor", ["self", "min", "max"]
  )
  .derivative(saving: ["self"]) { try clampGradient($0) }
  .inPlaceVariant()

  /// At an end that is a tensor, that gets half of the gradient.
  public static let clampTensor = clamped(
    "clamp.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor", ["self", "min", "max"]
  )
  .derivative(of: "self", "min", "max", saving: ["self", "min", "max"]) { d -> [Value] in
    let value = try d.tensor("self")
    guard let low = try d.optionalTensor("min") else {
      return [
        .reference(try lesserGradient(d, d["self"], d["max"])), .none,
        .reference(try lesserGradient(d, d["max"], d["self"])),
      ]
    }
    guard let high = try d.optionalTensor("max") else {
      return [
        .reference(try greaterGradient(d, d["self"], d["min"])),
        .reference(try greaterGradient(d, d["min"], d["self"])), .none,
      ]
    }
    // Ends that meet share with nobody: it is `self` that is there, or the one of them that limits it.
    let isRange = try low.lt(high)
    let (isAtLow, isAtHigh) = (try value.eq(low).logicalAnd(isRange), try value.eq(high).logicalAnd(isRange))
    let half = try d.gradient / 2
    func share(_ isAtEnd: Tensor, _ isBeyond: Tensor) throws -> Value {
      .reference(try isBeyond.selecting(d.gradient, isAtEnd.selecting(half, 0.0)))
    }
    let (isBelow, isAbove) = (try value.lt(low), try value.gt(high))
    let inside = try isAtLow.logicalOr(isAtHigh).selecting(half, d.gradient)
    return [
      .reference(try inside.maskedFill(isBelow.logicalOr(isAbove), 0)),
      try share(isAtLow, isBelow.logicalAnd(low.le(high))),
      try share(isAtHigh, isAbove.logicalAnd(low.le(high)).logicalOr(low.gt(high))),
    ]
  }
  .inPlaceVariant()

  public static let clampMin = clamped("clamp_min(Tensor self, Scalar min) -> Tensor", ["self", "min"])
    .derivative(saving: ["self"]) { try $0.tensor("self").gt($0["min"]).selecting($0.gradient, 0.0) }
    .inPlaceVariant()

  public static let clampMinTensor = clamped(
    "clamp_min.Tensor(Tensor self, Tensor min) -> Tensor", ["self", "min"], accepts: .all
  )
  .derivative(of: "self", saving: ["self", "min"]) { try greaterGradient($0, $0["self"], $0["min"]) }
  .derivative(of: "min", saving: ["self", "min"]) { try greaterGradient($0, $0["min"], $0["self"]) }
  .inPlaceVariant()

  public static let clampMax = clamped("clamp_max(Tensor self, Scalar max) -> Tensor", ["self", "max"])
    .derivative(saving: ["self"]) { try $0.tensor("self").lt($0["max"]).selecting($0.gradient, 0.0) }
    .inPlaceVariant()

  public static let clampMaxTensor = clamped(
    "clamp_max.Tensor(Tensor self, Tensor max) -> Tensor", ["self", "max"], accepts: .all
  )
  .derivative(of: "self", saving: ["self", "max"]) { try lesserGradient($0, $0["self"], $0["max"]) }
  .derivative(of: "max", saving: ["self", "max"]) { try lesserGradient($0, $0["max"], $0["self"]) }
  .inPlaceVariant()

  private static func clamped(_ schema: String, _ operands: [String], accepts: DTypeKinds = .numeric)
    -> OperatorDefinition
  {
    pointwise(
      schema, operands: operands, accepts: accepts,
      check: { call, common in
        if call.arguments.dropFirst().allSatisfy(\.isNone) {
          throw OperatorError(.argument, call.target.name, "needs at least one of min and max")
        }
        try checkLimits(call, common)
      }
    ) { x, call in
      let dtype = try call.reference(0).dtype
      return zip(zip(operands, x), call.arguments).dropFirst().reduce(x[0]) { value, limit in
        let ((name, bound), argument) = limit
        if argument.isNone { return value }
        // A NaN limit in place of a number has no effect on comparison alone; min and max carry it over.
        return .binary(name == "min" ? .maximum : .minimum, value, bound.limited(to: dtype))
      }
    }
  }

  /// - Throws: `OperatorError` where no integer of the type lies within a limit.
  static func checkLimits(_ call: OperatorCall, _ common: DType) throws {
    guard let integers = common.integers else { return }
    for (position, parameter) in call.target.schema.parameters.enumerated().dropFirst() {
      guard let limit = call.arguments[position].scalar?.intValue else { continue }
      let isBeyond = parameter.name.hasPrefix("min") ? limit > integers.upperBound : limit < integers.lowerBound
      if isBeyond { throw call.mismatch(position, "within \(integers) for \(common)") }
    }
  }

  private static func clampGradient(_ d: DerivativeContext) throws -> Tensor {
    let value = try d.tensor("self")
    let isAbove = d["min"].isNone ? nil : try value.gt(d["min"])
    let isBelow = d["max"].isNone ? nil : try value.lt(d["max"])
    guard
      let mask = try isAbove.flatMap({ above in try isBelow.map { try above.logicalAnd($0) } }) ?? isAbove ?? isBelow
    else { return d.gradient }
    return try mask.selecting(d.gradient, 0.0)
  }

  private static func ignoringNaN(_ name: String, _ operation: BinaryOperation) -> OperatorDefinition {
    binary("\(name)(Tensor self, Tensor other) -> Tensor") { a, b in
      // Only a NaN differs from itself.
      let larger = ScalarExpression.binary(operation, a, b)
      return select(.binary(.notEqual, a, a), b, select(.binary(.notEqual, b, b), a, larger))
    }
  }

  // All to the chosen side, which is `self` where both are NaN.
  private static func numberGradient(
    _ d: DerivativeContext, of parameter: String, isLarger: Bool
  ) throws -> Tensor {
    let (value, other) = (try d.tensor("self"), try d.tensor("other"))
    let isBeyond = try isLarger ? value.gt(other) : value.lt(other)
    let isFirst = try isBeyond.logicalOr(other.isNaN())
    let isChosen = try parameter == "self" ? isFirst : isFirst.logicalNot()
    return try value.eq(other).selecting(d.gradient / 2, isChosen.selecting(d.gradient, 0.0))
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

extension ScalarExpression {
  /// A constant limit as the nearest number of an integer type; anything else as it is.
  func limited(to dtype: DType) -> ScalarExpression {
    guard let integers = dtype.integers, case .constant(.int(let value)) = self else { return self }
    return .constant(.int(min(max(value, integers.lowerBound), integers.upperBound)))
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

  /// Limited to at least a number, or a tensor's elements.
  public func clampMin(_ min: some TensorOperand) throws -> Tensor {
    let value = min.operandValue
    return try (value.scalar == nil ? OperatorLibrary.clampMinTensor : OperatorLibrary.clampMin)(
      .reference(self), value)
  }

  /// Limited to at most a number, or a tensor's elements.
  public func clampMax(_ max: some TensorOperand) throws -> Tensor {
    let value = max.operandValue
    return try (value.scalar == nil ? OperatorLibrary.clampMaxTensor : OperatorLibrary.clampMax)(
      .reference(self), value)
  }

  /// The larger of both, the number where one is NaN.
  public func fmax(_ other: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.fmax(.reference(self), other.operandValue)
  }

  /// The smaller of both, the number where one is NaN.
  public func fmin(_ other: some TensorOperand) throws -> Tensor {
    try OperatorLibrary.fmin(.reference(self), other.operandValue)
  }

  /// Limited to a range whose ends are tensors.
  public func clamp(min: Tensor?, max: Tensor?) throws -> Tensor {
    try OperatorLibrary.clampTensor(
      .reference(self), min.map { .reference($0) } ?? .none, max.map { .reference($0) } ?? .none)
  }
}
