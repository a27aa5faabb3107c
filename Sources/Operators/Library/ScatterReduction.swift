import GraphIR
import LoopIR
import TensorCore

/// What becomes of the elements that are scattered to one place, and of what is there.
enum ScatterReduction: Sendable {
  /// One of those that are scattered stays.
  case replace
  case sum, product, mean
  /// NaN where one is.
  case maximum, minimum

  var mode: LoopKernel.Store.Mode {
    switch self {
    case .replace: .assign
    case .sum, .mean: .accumulate
    case .product: .multiply
    case .maximum: .maximum
    case .minimum: .minimum
    }
  }

  /// Whether rounding adds up, so that half-precision elements need more precision on the way.
  fileprivate var accumulates: Bool { [.sum, .product, .mean].contains(self) }

  /// What leaves the others as they are.
  fileprivate func identity(_ dtype: DType) -> Scalar {
    switch self {
    case .replace, .sum, .mean: 0
    case .product: 1
    case .maximum: dtype.lowest
    case .minimum: dtype.highest
    }
  }
}

/// How a scatter's arguments name its reduction.
struct ScatterRule: Sendable {
  private let fixed: ScatterReduction
  private let names: [String: ScatterReduction]
  private let reduce: Int?
  private let includesSelf: Int?

  /// - Parameters:
  ///   - fixed: The reduction where no argument names one.
  ///   - names: What the argument `reduce` may be.
  init(_ schema: OperatorSchema, _ fixed: ScatterReduction, names: [String: ScatterReduction]) {
    self.fixed = fixed
    self.names = names
    self.reduce = schema.index(of: "reduce")
    self.includesSelf = schema.index(of: "include_self")
  }

  func reduction(_ call: Call<some Any>) throws -> ScatterReduction {
    guard let reduce else { return fixed }
    let name = try call.string(reduce)
    guard let reduction = names[name] else {
      let allowed = names.keys.sorted().joined(separator: ", ")
      throw OperatorError(.argument, call.target.name, "argument 'reduce' must be one of \(allowed), got '\(name)'")
    }
    return reduction
  }

  /// Whether what is there has its part in the result.
  func includesSelf(_ call: Call<some Any>) throws -> Bool { try includesSelf.map(call.bool) ?? true }
}

extension LoopBuilder {
  /// Copies argument 0 to `result`, unless they are one, and scatters `source` to it as a rule says.
  ///
  /// - Parameters:
  ///   - locate: Where in a buffer of the result's shape the elements go.
  ///   - body: Makes what is scattered of the source's element.
  mutating func scatter(
    _ source: ScatterSource, into result: Operand, of call: LoweringCall, by rule: ScatterRule,
    at locate: (Operand) -> (place: Operand, index: IndexOperand),
    _ body: (ScalarExpression) -> ScalarExpression = { $0 }
  ) throws {
    let (reduction, includesSelf) = (try rule.reduction(call), try rule.includesSelf(call))
    try update(result, from: call.reference(0), sums: reduction.accumulates) { result, builder in
      let (place, index) = locate(result)
      if !includesSelf { builder.scatter(.number(reduction.identity(result.dtype)), to: place, at: [index]) }
      builder.scatter(source, to: place, at: [index], mode: reduction.mode) { element, _ in body(element) }
      guard reduction == .mean else { return }
      let counts = builder.temporary(.int64, result.sizes)
      builder.fill(counts, includesSelf ? 1 : 0)
      let (countPlace, countIndex) = locate(counts)
      builder.scatter(.number(1), to: countPlace, at: [countIndex], mode: .accumulate)
      builder.pointwise([result, counts], to: result) { x in
        let count = ScalarExpression.binary(.maximum, x[1], 1)
        return result.dtype.isFloatingPoint
          ? x[0] / .cast(result.dtype, count) : .binary(.floorDivide, .cast(.int64, x[0]), count)
      }
    }
  }

  /// Copies `original` to `result`, unless they are one, and lets `body` change it; sums in half precision are made in a
  /// temporary in float32.
  mutating func update(
    _ result: Operand, from original: Operand, sums: Bool, _ body: (Operand, inout LoopBuilder) throws -> Void
  ) rethrows {
    if sums && (result.dtype == .float16 || result.dtype == .bfloat16) {
      let wide = temporary(.float32, result.sizes)
      copy(original, to: wide)
      try body(wide, &self)
      copy(wide, to: result)
    } else {
      if original != result { copy(original, to: result) }
      try body(result, &self)
    }
  }
}

/// The gradients of a scatter with a reduction. Elements that share the extremum share its gradient.
///
/// The second derivative of a product of which two or more scattered elements are 0 is not told: it takes them as constant.
struct ReducedScatter {
  let context: DerivativeContext
  let rule: ScatterRule
  /// What is scattered, an element per index.
  let source: Tensor
  /// The elements of something of the result's shape, at the indices.
  let gather: (Tensor) throws -> Tensor
  /// Elements added to something of the result's shape, at the indices.
  let add: (_ base: Tensor, _ elements: Tensor) throws -> Tensor
  /// Elements multiplied to something of the result's shape, at the indices.
  let multiply: (_ base: Tensor, _ elements: Tensor, _ includesBase: Bool) throws -> Tensor
  /// Zeros put into something of the result's shape, at the indices.
  let clear: (Tensor) throws -> Tensor

  func gradients() throws -> (input: Tensor, source: Tensor) {
    let includesSelf = try rule.includesSelf(context.call)
    var (toInput, toSource) = try gradients(includesSelf)
    if !includesSelf { toInput = try clear(toInput) }
    return (toInput, toSource)
  }

  private func gradients(_ includesSelf: Bool) throws -> (Tensor, Tensor) {
    let (gradient, input, result) = (context.gradient, try context.tensor("self"), context.result)
    switch try rule.reduction(context.call) {
    case .replace: return (try clear(gradient), try gather(gradient))
    case .sum: return (gradient, try gather(gradient))
    case .mean:
      let counts = try add(includesSelf ? input.onesLike() : input.zerosLike(), source.onesLike()).clamp(min: 1)
      let share = try gradient / counts
      return (share, try gather(share))
    case .maximum, .minimum:
      let (isInput, isSource) = (try input.eq(result), try source.eq(gather(result)))
      let share = try gradient / add(isInput.to(gradient.dtype), isSource.to(gradient.dtype))
      return (try share * isInput, try gather(share) * isSource)
    case .product:
      let isZero = try source.eq(0)
      let zeroCounts = try gather(add(input.zerosLike(), isZero.to(input.dtype)))
      let isOnlyZero = try isZero.logicalAnd(zeroCounts.eq(1))
      let others = try multiply(input, source.maskedFill(isOnlyZero, 1), includesSelf)
      let toSource = try isOnlyZero.selecting(
        gather(gradient * others), gather(gradient * result) / source.maskedFill(isZero, 1))
      return (try gradient * multiply(input.onesLike(), source, true), toSource)
    }
  }
}
