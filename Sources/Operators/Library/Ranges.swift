import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let ranges = [arange, arangeStart, arangeStep, linspace, tril, triu]

  // Whole numbers give int64, where no dtype is named.

  /// 0, 1, … below `end`
  public static let arange = range("arange(Scalar end, *, \(factoryOptions)) -> Tensor", dtypeAt: 1) { call in
    (.int(0), try call.scalar(0), .int(1))
  }

  public static let arangeStart = range(
    "arange.start(Scalar start, Scalar end, *, \(factoryOptions)) -> Tensor", dtypeAt: 2
  ) { call in (try call.scalar(0), try call.scalar(1), .int(1)) }

  public static let arangeStep = range(
    "arange.start_step(Scalar start, Scalar end, Scalar step=1, *, \(factoryOptions)) -> Tensor", dtypeAt: 3
  ) { call in (try call.scalar(0), try call.scalar(1), try call.scalar(2)) }

  /// `steps` numbers from `start` to `end`, both included.
  public static let linspace = created(
    "linspace(Scalar start, Scalar end, int steps, *, \(factoryOptions)) -> Tensor", dtypeAt: 3,
    layout: { call in
      try refuseBool(call, 3)
      _ = try linearBounds(call)
      return Layout(contiguous: [SymInt(try call.int(2))])
    }
  ) { call in
    let ((start, end), steps) = (try linearBounds(call), try call.int(2))
    guard steps > 1 else { return .constant(.double(start)) }
    let step = ScalarExpression.constant(.double((end - start) / Double(steps - 1)))
    let index = ScalarExpression.cast(.float64, .coordinate(0))
    let fromEnd = ScalarExpression.cast(.float64, .constant(.int(steps - 1)) - .coordinate(0))
    // From the nearer end, so that both are met exactly.
    return select(
      .coordinate(0) .< .constant(.int(steps / 2)), .constant(.double(start)) + step * index,
      .constant(.double(end)) - step * fromEnd)
  }

  /// The lower triangle of matrices [… , n, m], up to a diagonal; zeros elsewhere.
  public static let tril = triangle("tril", .lessOrEqual) { try $0.tril($1) }

  /// The upper triangle of matrices [… , n, m], from a diagonal on; zeros elsewhere.
  public static let triu = triangle("triu", .greaterOrEqual) { try $0.triu($1) }

  private static func range(
    _ schema: String, dtypeAt position: Int,
    _ bounds: @escaping @Sendable (Call<Never>) throws -> (start: Scalar, end: Scalar, step: Scalar)
  ) -> OperatorDefinition {
    created(
      schema, dtypeAt: position,
      layout: { call in
        let (start, end, step) = try bounds(call.withoutReferences())
        try refuseBool(call, position)
        return Layout(contiguous: [SymInt(try count(call, start, end, step))])
      },
      dtype: { call in
        let (start, end, step) = try bounds(call.withoutReferences())
        return [start, end, step].contains { $0.dtype.isFloatingPoint } ? .float32 : .int64
      }
    ) { call in
      let (start, _, step) = try bounds(call.withoutReferences())
      // Of an integer range, start and step are integers as well.
      if [start, step].contains(where: { $0.dtype.isFloatingPoint }), try isFloatingPoint(call, position) {
        return .constant(.double(start.doubleValue))
          + .constant(.double(step.doubleValue)) * .cast(.float64, .coordinate(0))
      }
      return .constant(.int(start.intValue)) + .constant(.int(step.intValue)) * .coordinate(0)
    }
  }

  private static func linearBounds(_ call: Call<some Any>) throws -> (start: Double, end: Double) {
    let dtype = try call.optionalDType(3) ?? .float32
    return (try call.scalar(0, fitting: dtype).doubleValue, try call.scalar(1, fitting: dtype).doubleValue)
  }

  private static func refuseBool(_ call: OperatorCall, _ dtype: Int) throws {
    guard try call.optionalDType(dtype) != .bool else {
      throw OperatorError(.dtype, call.target.name, "is not defined for bool")
    }
  }

  private static func isFloatingPoint(_ call: LoweringCall, _ dtype: Int) throws -> Bool {
    try call.optionalDType(dtype)?.isFloatingPoint ?? true
  }

  private static func count(_ call: OperatorCall, _ start: Scalar, _ end: Scalar, _ step: Scalar) throws -> Int {
    func refuse(_ message: String) -> OperatorError {
      OperatorError(.argument, call.target.name, "\(message), got start \(start), end \(end), step \(step)")
    }
    let (low, high, width) = (start.doubleValue, end.doubleValue, step.doubleValue)
    guard low.isFinite, high.isFinite, width.isFinite else { throw refuse("bounds and step must be finite") }
    guard width != 0 else { throw refuse("the step must not be 0") }
    guard low == high || (high > low) == (width > 0) else { throw refuse("the step must lead from start to end") }
    if case (.int(let start), .int(let end), .int(let step)) = (start, end, step) {
      let (distance, overflow) = end.subtractingReportingOverflow(start)
      let (quotient, isTooLarge) = distance.dividedReportingOverflow(by: step)
      if !overflow && !isTooLarge { return quotient + (quotient * step == distance ? 0 : 1) }
    }
    guard let count = Int(exactly: ((high - low) / width).rounded(.up)) else {
      throw refuse("there are too many numbers")
    }
    return count
  }

  private static func triangle(
    _ name: String, _ comparison: BinaryOperation, _ again: @escaping @Sendable (Tensor, Int) throws -> Tensor
  ) -> OperatorDefinition {
    pointwise(
      "\(name)(Tensor self, SymInt diagonal=0) -> Tensor", isContiguous: true,
      check: { call, _ in
        guard try call.tensor(0).rank >= 2 else {
          throw OperatorError(
            .shape, call.target.name, "needs at least 2 dimensions, got shape \(try call.tensor(0).sizes)")
        }
        _ = try call.int(1)
      }
    ) { x, call in
      let rank = try call.reference(0).sizes.count
      let diagonal = ScalarExpression.coordinate(rank - 1) - .coordinate(rank - 2)
      return select(.binary(comparison, diagonal, .constant(.int(try call.int(1)))), x[0], 0)
    }
    .derivative { try again($0.gradient, $0.call.int(1)) }
    .inPlaceVariant()
  }
}

extension Call {
  /// The call as far as it is made of constants.
  fileprivate func withoutReferences() throws -> Call<Never> {
    Call<Never>(
      target,
      try arguments.enumerated().map { position, argument in
        try argument.map { _ in throw mismatch(position, "a constant") }
      })
  }
}

extension Tensor {
  /// 0, 1, … below `end`; without a dtype, int64 for whole numbers.
  public static func arange(_ end: some NumberOperand, dtype: DType? = nil, device: Device = .cpu) throws -> Tensor {
    try OperatorLibrary.arange(end.operandValue, Value(dtype), .none, .device(device))
  }

  /// start, start + step, … before `end`; without a dtype, int64 for whole numbers.
  public static func arange<Number: NumberOperand>(
    _ start: Number, _ end: Number, step: Number? = nil, dtype: DType? = nil, device: Device = .cpu
  ) throws -> Tensor {
    try OperatorLibrary.arangeStep(
      start.operandValue, end.operandValue, step?.operandValue ?? .int(1), Value(dtype), .none, .device(device))
  }

  /// `steps` numbers from `start` to `end`, both included.
  public static func linspace(
    _ start: Double, _ end: Double, steps: Int, dtype: DType = .float32, device: Device = .cpu
  ) throws -> Tensor {
    try OperatorLibrary.linspace(
      .double(start), .double(end), .int(SymInt(steps)), .dtype(dtype), .none, .device(device))
  }

  /// The lower triangle of the last two dimensions, up to a diagonal; zeros elsewhere.
  public func tril(_ diagonal: Int = 0) throws -> Tensor {
    try OperatorLibrary.tril(.reference(self), .int(SymInt(diagonal)))
  }

  /// The upper triangle of the last two dimensions, from a diagonal on; zeros elsewhere.
  public func triu(_ diagonal: Int = 0) throws -> Tensor {
    try OperatorLibrary.triu(.reference(self), .int(SymInt(diagonal)))
  }
}
