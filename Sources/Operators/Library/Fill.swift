import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let fills = [fillScalar, fill, zero]

  /// A number in the size and type of `self`; the in-place variant overwrites `self`.
  public static let fillScalar = filled("fill.Scalar(Tensor self, Scalar value) -> Tensor") { call, result, builder in
    builder.fill(result, try call.scalar(1).converted(to: result.dtype))
  }
  .derivative { try $0.gradient.zerosLike() }
  .inPlaceVariant()

  /// The one element of a tensor without dimensions, in the size and type of `self`.
  public static let fill = filled("fill.Tensor(Tensor self, Tensor value) -> Tensor") { call, result, builder in
    if let number = call.arguments[1].scalar { return builder.fill(result, number.converted(to: result.dtype)) }
    builder.copy(try call.reference(1), to: result)
  }
  .decomposition { call in
    let input = try call.tensor(0)
    guard let value = try? call.tensor(1) else { return try fillScalar.call(call.arguments) }
    return .reference(try value.converted(to: input.dtype).expand(input.sizes))
  }
  .derivative(of: "self") { try $0.gradient.zerosLike() }
  .derivative(of: "value") { try $0.gradient.sum() }
  .inPlaceVariant()

  public static let zero = filled("zero(Tensor self) -> Tensor") { _, result, builder in builder.fill(result, 0) }
    .decomposition { .reference(try fillScalar($0.arguments[0], .int(0))) }
    .derivative { try $0.gradient.zerosLike() }
    .inPlaceVariant()

  private static func filled(
    _ schema: String, _ lowering: @escaping @Sendable (LoweringCall, Operand, inout LoopBuilder) throws -> Void
  ) -> OperatorDefinition {
    OperatorDefinition(
      schema, traits: .pointwise,
      .kernel(
        shape: { call in
          let input = try call.tensor(0)
          if call.arguments.count > 1 {
            if let value = call.arguments[1].reference {
              guard value.rank == 0 else {
                throw OperatorError(
                  .shape, call.target.name, "value must be a tensor without dimensions, got shape \(value.sizes)")
              }
            } else {
              _ = try call.scalar(1, fitting: input.dtype)
            }
          }
          return [TensorMeta(dtype: input.dtype, layout: input.layout.copied(format: .preserve), device: input.device)]
        },
        lowering: { call, results, builder in try lowering(call, results[0], &builder) }))
  }
}

extension Tensor {
  /// Sets every element to a number.
  @discardableResult
  public func fill_(_ value: some NumberOperand) throws -> Tensor {
    try OperatorLibrary.fillScalar.inPlace(.reference(self), value.operandValue)
  }

  /// Sets every element to that of a tensor without dimensions.
  @discardableResult
  public func fill_(_ value: Tensor) throws -> Tensor {
    try OperatorLibrary.fill.inPlace(.reference(self), .reference(value))
  }

  /// Sets every element to 0.
  @discardableResult public func zero_() throws -> Tensor { try OperatorLibrary.zero.inPlace(.reference(self)) }
}
