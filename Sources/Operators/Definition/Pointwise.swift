import GraphIR
import LoopIR
import TensorCore

/// An operator whose result at each index depends on its operands at that (broadcast) index.
///
/// - Parameters:
///   - operands: The parameters that are operands, in order: tensors, or numbers of the weakest promotion class. All tensor
///     parameters where nil.
///   - conditions: Those of the operands that are bool and have no part in type promotion.
///   - promotion: How the operands' types decide what is computed in and what is given.
///   - accepts: The types that may be computed in.
///   - isContiguous: Whether the result is dense in row-major order, rather than in the operands' order of dimensions.
///   - check: Refuses calls that types and shapes alone do not tell; it gets the common type of the operands.
///   - body: The element of the result. It gets the operands cast to the computing type (plain numbers stay constants, an
///     operand that is none is 0), and the call, for its other arguments.
func pointwise(
  _ schema: String, operands: [String]? = nil, conditions: [String] = [], promotion: Promotion = .common,
  accepts: DTypeKinds = .all, isContiguous: Bool = false,
  check: (@Sendable (OperatorCall, DType) throws -> Void)? = nil,
  _ body: @escaping @Sendable (_ operands: [ScalarExpression], _ call: LoweringCall) throws -> ScalarExpression
) -> OperatorDefinition {
  let schema = OperatorSchema(wellFormed: schema)
  let kernel = PointwiseKernel(
    rule: PointwiseRule(
      schema, operands: operands, conditions: conditions, promotion: promotion, isContiguous: isContiguous),
    accepts: accepts, check: check, body: body)
  return OperatorDefinition(schema: schema, traits: .pointwise, .kernel(shape: kernel.shape, lowering: kernel.lower))
}

/// A pointwise operator of one tensor and no other argument that matters.
func unary(
  _ schema: String, promotion: Promotion = .common, accepts: DTypeKinds = .all,
  _ body: @escaping @Sendable (ScalarExpression) -> ScalarExpression
) -> OperatorDefinition {
  pointwise(schema, promotion: promotion, accepts: accepts) { operands, _ in body(operands[0]) }
}

/// A pointwise operator of two operands and no other argument that matters.
func binary(
  _ schema: String, operands: [String]? = nil, promotion: Promotion = .common, accepts: DTypeKinds = .all,
  _ body: @escaping @Sendable (ScalarExpression, ScalarExpression) -> ScalarExpression
) -> OperatorDefinition {
  pointwise(schema, operands: operands, promotion: promotion, accepts: accepts) { operands, _ in
    body(operands[0], operands[1])
  }
}

/// The shape rule and lowering that `pointwise` writes.
struct PointwiseKernel: Sendable {
  let rule: PointwiseRule
  var accepts: DTypeKinds = .all
  var check: (@Sendable (OperatorCall, DType) throws -> Void)?
  let body: @Sendable (_ operands: [ScalarExpression], _ call: LoweringCall) throws -> ScalarExpression

  @Sendable func shape(_ call: OperatorCall) throws -> [TensorMeta?] {
    let meta = try rule.result(of: call)
    let common = try rule.commonDType(call, \.dtype, \.rank)
    guard accepts.contains(rule.promotion.computeDType(common)) else {
      throw OperatorError(.dtype, call.target.name, "is not defined for \(common)")
    }
    try check?(call, common)
    return [meta]
  }

  @Sendable func lower(_ call: LoweringCall, _ results: [Operand], _ builder: inout LoopBuilder) throws {
    let computing = rule.promotion.computeDType(try rule.commonDType(call, \.dtype, \.sizes.count))
    let loads = rule.positions.compactMap { call.arguments[$0].reference }
    var next = 0
    let elements = rule.positions.map { position -> ScalarExpression in
      let dtype = rule.conditions.contains(position) ? .bool : computing
      if let scalar = call.arguments[position].scalar { return .constant(scalar.converted(to: dtype)) }
      guard let operand = call.arguments[position].reference else { return .constant(.int(0)) }
      defer { next += 1 }
      return operand.dtype == dtype ? .load(next) : .cast(dtype, .load(next))
    }
    let value = try body(elements, call)
    builder.pointwise(loads, to: results[0]) { _ in value }
  }
}

/// Which arguments of a pointwise operator are operands, and what their types and shapes make of the result.
struct PointwiseRule: Sendable {
  let positions: [Int]
  let conditions: Set<Int>
  let promotion: Promotion
  let isContiguous: Bool

  /// - Precondition: Every name is a parameter's.
  init(
    _ schema: OperatorSchema, operands: [String]?, conditions: [String] = [], promotion: Promotion,
    isContiguous: Bool = false
  ) {
    func position(_ name: String) -> Int {
      guard let position = schema.index(of: name) else {
        preconditionFailure("\(schema.name) has no parameter '\(name)'")
      }
      return position
    }
    self.positions =
      operands?.map(position) ?? schema.parameters.indices.filter { schema.parameters[$0].type == .tensor }
    self.conditions = Set(conditions.map(position))
    self.promotion = promotion
    self.isContiguous = isContiguous
  }

  /// The result's metadata.
  ///
  /// - Throws: `OperatorError` where operands are neither tensors nor numbers, do not broadcast, or none is a tensor.
  func result(of call: OperatorCall) throws -> TensorMeta {
    var tensors: [Tensor] = []
    for position in positions {
      if let tensor = call.arguments[position].reference {
        tensors.append(tensor)
        if conditions.contains(position), tensor.dtype != .bool {
          throw call.mismatch(position, "a bool tensor")
        }
      } else if call.arguments[position].scalar == nil, !call.arguments[position].isNone {
        throw call.mismatch(position, "a tensor or a number")
      } else if call.arguments[position].isNone, !call.target.schema.parameters[position].isOptional {
        throw call.mismatch(position, "a tensor or a number")
      }
    }
    guard let first = tensors.first else {
      throw OperatorError(.argument, call.target.name, "needs a tensor among its operands")
    }
    let sizes = try call.target.broadcast(tensors.map(\.sizes))
    let common = try commonDType(call, \.dtype, \.rank)
    let layout =
      isContiguous
      ? Layout(contiguous: sizes)
      : Layout(sizes: sizes, strides: pointwiseStrides(sizes, operands: tensors.map(\.layout)))
    return TensorMeta(dtype: promotion.resultDType(common), layout: layout, device: first.device)
  }

  /// The dtype that the operands meet in, or that of the first where the promotion says so.
  func commonDType<Reference>(
    _ call: Call<Reference>, _ dtype: (Reference) -> DType, _ rank: (Reference) -> Int
  ) throws -> DType {
    if promotion == .first {
      guard let first = positions.lazy.compactMap({ call.arguments[$0].reference }).first else {
        throw OperatorError(.argument, call.target.name, "needs a tensor among its operands")
      }
      return dtype(first)
    }
    var promoted = TypePromotion()
    for position in positions where !conditions.contains(position) {
      if let reference = call.arguments[position].reference {
        promoted.add(dtype(reference), rank: rank(reference))
      } else if let scalar = call.arguments[position].scalar {
        promoted.add(scalar)
      }
    }
    return promoted.result ?? .float32
  }
}

extension OperatorSchema.Parameter {
  var isOptional: Bool { if case .optional = type { true } else { false } }
}

/// Kinds of element types that an operator is defined for.
struct DTypeKinds: OptionSet, Sendable {
  let rawValue: UInt8

  static let bool = DTypeKinds(rawValue: 1)
  static let integer = DTypeKinds(rawValue: 2)
  static let floatingPoint = DTypeKinds(rawValue: 4)
  static let all: DTypeKinds = [.bool, .integer, .floatingPoint]
  static let numeric: DTypeKinds = [.integer, .floatingPoint]
  static let bits: DTypeKinds = [.bool, .integer]

  func contains(_ dtype: DType) -> Bool {
    contains(dtype.isFloatingPoint ? .floatingPoint : dtype == .bool ? .bool : .integer)
  }
}

extension Scalar {
  /// The number as one of a dtype's kind.
  func converted(to dtype: DType) -> Scalar {
    switch dtype {
    case .bool: .bool(doubleValue != 0)
    case _ where dtype.isFloatingPoint: .double(doubleValue)
    default: .int(intValue)
    }
  }
}
