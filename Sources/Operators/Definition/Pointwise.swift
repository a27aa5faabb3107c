import GraphIR
import LoopIR
import TensorCore

/// An operator whose result at each index depends on its operands at that (broadcast) index.
///
/// - Parameters:
///   - promotion: How the operands' types decide what is computed in and what is given.
///   - body: The element of the result. It gets the tensor operands, in parameter order and cast to the computing type
///     (plain numbers in their place stay constants), and the call, for its other arguments.
func pointwise(
  _ schema: String, promotion: Promotion = .common,
  _ body: @escaping @Sendable (_ operands: [ScalarExpression], _ call: LoweringCall) throws -> ScalarExpression
) -> OperatorDefinition {
  OperatorDefinition(
    schema, traits: .pointwise,
    .kernel(
      shape: { call in
        let tensors = call.pointwiseOperands.compactMap(\.reference)
        let sizes = try call.target.broadcast(tensors.map(\.sizes))
        let common = promotion == .first ? tensors[0].dtype : call.commonDType { ($0.dtype, $0.rank) }
        let layout = Layout(sizes: sizes, strides: pointwiseStrides(sizes, operands: tensors.map(\.layout)))
        return [TensorMeta(dtype: promotion.resultDType(common), layout: layout, device: tensors[0].device)]
      },
      lowering: { call, results, builder in
        let operands = call.pointwiseOperands
        let tensors = operands.compactMap(\.reference)
        let common = promotion == .first ? tensors[0].dtype : call.commonDType { ($0.dtype, $0.sizes.count) }
        let computing = promotion.computeDType(common)
        var failure: (any Error)?
        builder.pointwise(tensors, to: results[0]) { loads in
          var next = loads.makeIterator()
          let elements = operands.map { operand -> ScalarExpression in
            if let scalar = operand.scalar { return .constant(scalar.converted(to: computing)) }
            guard let load = next.next() else { preconditionFailure("one load per tensor operand") }
            return .cast(computing, load)
          }
          do { return try body(elements, call) } catch {
            failure = error
            return 0
          }
        }
        if let failure { throw failure }
      }))
}

/// A pointwise operator of one tensor and no other argument that matters.
func unary(
  _ schema: String, promotion: Promotion = .common, _ body: @escaping @Sendable (ScalarExpression) -> ScalarExpression
) -> OperatorDefinition {
  pointwise(schema, promotion: promotion) { operands, _ in body(operands[0]) }
}

/// A pointwise operator of two operands and no other argument that matters.
func binary(
  _ schema: String, promotion: Promotion = .common,
  _ body: @escaping @Sendable (ScalarExpression, ScalarExpression) -> ScalarExpression
) -> OperatorDefinition {
  pointwise(schema, promotion: promotion) { operands, _ in body(operands[0], operands[1]) }
}

extension Call {
  /// The arguments in tensor positions, in order: tensors or plain numbers.
  var pointwiseOperands: [Argument<Reference>] {
    zip(target.schema.parameters, arguments).filter { $0.0.type == .tensor }.map(\.1)
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
