import GraphIR
import LoopIR
import TensorCore

/// What a loss makes of its terms. The raw value is ATen's `reduction` argument.
public enum LossReduction: Int, Hashable, Sendable { case none, mean, sum }

/// A loss of one term per element of its (broadcast) operands: left as they are, averaged or summed, as `reduction` says.
///
/// - Parameters:
///   - operands: The parameters that are operands; all tensor parameters where nil.
///   - resultDType: The type of the result, given the operands' common type; that one where nil.
///   - check: Refuses calls that types and shapes alone do not tell; it gets the metadata of the terms.
///   - prepare: Appends kernels that come before the loss, as checks of elements.
///   - term: One term. It gets the operands in the type that the terms add up in (one that is none is 0), and the call.
func pointwiseLoss(
  _ text: String, operands: [String]? = nil,
  resultDType: (@Sendable (OperatorCall, DType) throws -> DType)? = nil,
  check: (@Sendable (OperatorCall, TensorMeta) throws -> Void)? = nil,
  prepare: (@Sendable (LoweringCall, inout LoopBuilder) throws -> Void)? = nil,
  _ term: @escaping @Sendable (_ operands: [ScalarExpression], _ call: LoweringCall) throws -> ScalarExpression
) -> OperatorDefinition {
  let schema = OperatorSchema(wellFormed: text)
  let rule = PointwiseRule(schema, operands: operands, promotion: .common)
  guard let reductionPosition = schema.index(of: "reduction") else {
    preconditionFailure("\(schema.name) has no parameter 'reduction'")
  }
  return OperatorDefinition(
    schema: schema, traits: .reduction,
    .kernel(
      shape: { call in
        var meta = try rule.result(of: call)
        guard meta.dtype.isFloatingPoint else {
          throw OperatorError(.dtype, call.target.name, "is not defined for \(meta.dtype)")
        }
        try check?(call, meta)
        if let resultDType { meta.dtype = try resultDType(call, meta.dtype) }
        return [
          try call.lossReduction(reductionPosition) == .none
            ? meta : TensorMeta(dtype: meta.dtype, sizes: [], device: meta.device)
        ]
      },
      lowering: { call, results, builder in
        try prepare?(call, &builder)
        let dtype = try rule.commonDType(call, \.dtype, \.sizes.count).accumulator
        let operands = try rule.positions.compactMap { try call.optionalReference($0) }
        var loaded = 0
        let elements = rule.positions.map { position -> ScalarExpression in
          if call.arguments[position].isNone { return 0 }
          defer { loaded += 1 }
          return .cast(dtype, .load(loaded))
        }
        let term = try term(elements, call)
        let reduction = try call.lossReduction(reductionPosition)
        if reduction == .none { return builder.pointwise(operands, to: results[0]) { _ in term } }
        let sizes = try call.target.broadcast(operands.map { [SymInt]($0.sizes) }).values
        let total = ScalarExpression.reduced(0)
        let count = ScalarExpression.constant(.double(Double(sizes.reduce(1, *))))
        builder.rows(
          operands, of: sizes, over: Array(sizes.indices), reductions: [.init(.sum, term, dtype: dtype)],
          outer: [(results[0], reduction == .mean ? total / count : total)])
      }))
}

extension Call {
  func lossReduction(_ position: Int) throws -> LossReduction {
    guard let reduction = LossReduction(rawValue: try int(position)) else {
      throw mismatch(position, "0 (none), 1 (mean) or 2 (sum)")
    }
    return reduction
  }
}

extension LoweringCall {
  /// What each term of a loss counts for in its gradient: 1, or for a mean one of so many as `operand` has elements.
  func lossShare(reductionAt position: Int, of operand: Int) throws -> ScalarExpression {
    guard try lossReduction(position) == .mean else { return 1 }
    return .constant(.double(1 / Double(try reference(operand).elementCount)))
  }
}

extension DerivativeContext {
  /// A gradient of a loss's terms, divided by their number where the loss is a mean.
  func sharedAmongTerms(_ gradient: Tensor, reductionAt position: Int, of parameter: String) throws -> Tensor {
    guard try call.lossReduction(position) == .mean else { return gradient }
    return try gradient / tensor(parameter).elementCount
  }
}

extension Tensor {
  /// The terms of a loss, reduced.
  func reduced(_ reduction: LossReduction) throws -> Tensor {
    switch reduction {
    case .none: self
    case .mean: try mean()
    case .sum: try sum()
    }
  }
}
