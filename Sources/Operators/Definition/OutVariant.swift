import GraphIR
import TensorCore

/// The overload of an operator that writes its result into an argument `out`: the operator itself, and a copy.
enum OutVariant {
  static func definition(of functional: OperatorDefinition, overload: String) -> OperatorDefinition {
    var schema = functional.schema
    schema.name.overload = overload
    let alias = AliasAnnotation(["a"], isWrite: true)
    schema.parameters.append(.init("out", .tensor, alias: alias, isKeywordOnly: true))
    schema.returns = [.init(.tensor, alias: alias)]
    return OperatorDefinition(schema: schema, .composite { .reference(try run($0, functional)) })
  }

  private static func run(_ call: OperatorCall, _ functional: OperatorDefinition) throws -> Tensor {
    let out = try call.tensor(call.arguments.count - 1)
    try refuseGradients(call)
    let result = try functional(Array(call.arguments.dropLast()))
    guard TypePromotion.canCast(result.dtype, to: out.dtype) else {
      throw OperatorError(
        .dtype, call.target.name, "a result of type \(result.dtype) cannot be written to 'out' of type \(out.dtype)")
    }
    for operand in call.allTensors.dropLast() { _ = try InPlaceExecution.overlapsPartially(operand, out, call) }
    if result.sizes != out.sizes { try resize(out, as: result, call) }
    return try out.copy_(result)
  }

  /// - Throws: `OperatorError` with code `notDifferentiable` where a gradient would be lost.
  private static func refuseGradients(_ call: OperatorCall) throws {
    guard DispatchContext.current.recordsGradients else { return }
    for (parameter, argument) in zip(call.target.schema.parameters, call.arguments)
    where argument.references.contains(where: { $0.recordingAutograd != nil }) {
      throw OperatorError(
        .notDifferentiable, call.target.name,
        "argument '\(parameter.name)' requires a gradient, and none flows through a write to 'out'; call it inside noGrad { }"
      )
    }
  }

  private static func resize(_ out: Tensor, as result: Tensor, _ call: OperatorCall) throws {
    guard out.wrapperMeta == nil else {
      throw OperatorError(
        .shape, call.target.name,
        "'out' is of a wrapper subclass and cannot be resized; make it of shape \(result.sizes)")
    }
    let layout = Layout(sizes: result.sizes, strides: result.strides, offset: out.layout.offset)
    _ = try OperatorLibrary.resized(out, to: layout, by: call.target.name)
  }
}
