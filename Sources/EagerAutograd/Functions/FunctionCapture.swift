import GraphIR
import Operators
import TensorCore

/// Puts a call of a custom function into the graph that is being captured.
///
/// The operators that `forward` called are in the graph already, as calls that autograd does not look at. A further call,
/// that of an operator which has the function's gradient as its derivative, makes its outputs values of their own.
struct FunctionCapture {
  private let definition: any DifferentiableFunction
  private let context: FunctionContext
  private let mode: any DispatchMode

  init(_ definition: any DifferentiableFunction, _ context: FunctionContext, _ mode: any DispatchMode) {
    self.definition = definition
    self.context = context
    self.mode = mode
  }

  /// Makes `function` the history of what `forward` gave; see `FunctionGradient.attach`.
  func attach(_ function: FunctionGradient, to outputs: [Tensor], inputs: [Tensor]) throws -> [Tensor] {
    let outputs = try outputs.map { output in
      // An input that is returned as it is becomes a view of itself.
      let isInput = inputs.contains { $0 === output } && !isWritten(output)
      return isInput ? try noGrad { try output.alias() } : try mode.lift(output)
    }
    let differentiable = outputs.filter { !context.isNotDifferentiable($0) }
    let saved = try context.tensorsToSave.map(mode.lift)
    let target = OperatorLibrary.customFunction(
      gradient: FunctionReplay(definition, context, outputs: outputs, inputCount: inputs.count).gradient)
    let call = OperatorCall(
      target, [differentiable, inputs, saved].map { .list($0.map { .reference($0) }) })
    var values = try mode.dispatch(call).references.makeIterator()
    let results = try outputs.map { output in
      guard !context.isNotDifferentiable(output), let value = values.next() else { return output }
      if isWritten(output) {
        // The elements are there; that they have this history is what the copy says.
        _ = try mode.dispatch(
          OperatorCall(OperatorLibrary.copy.inPlace, [.reference(output), .reference(value), .bool(false)]))
        return output
      }
      value.storage = output.storage
      value.layout = output.layout
      value.wrapperMeta = output.wrapperMeta
      value.viewMeta = output.viewMeta
      return value
    }
    return try function.attach(to: results, inputs: inputs)
  }

  private func isWritten(_ tensor: Tensor) -> Bool { context.dirty.contains { $0 === tensor } }
}

/// The gradient of a captured call: runs `backward` on what stands for the saved tensors.
private struct FunctionReplay: @unchecked Sendable {
  // Sendable: a function is called from one thread at a time while it is captured, as closures are.
  private let definition: any DifferentiableFunction
  private let needsInputGradient: [Bool]
  private let materializesGradients: Bool
  private let outputs: [TensorMeta]
  /// Per output, whether it has a gradient: those are the call's results.
  private let isDifferentiable: [Bool]
  private let inputCount: Int

  init(_ definition: any DifferentiableFunction, _ context: FunctionContext, outputs: [Tensor], inputCount: Int) {
    self.definition = definition
    self.outputs = outputs.map { TensorMeta($0) }
    self.isDifferentiable = outputs.map { !context.isNotDifferentiable($0) }
    self.needsInputGradient = context.needsInputGradient
    self.materializesGradients = context.materializesGradients
    self.inputCount = inputCount
  }

  @Sendable func gradient(_ derivative: DerivativeContext) throws -> Value {
    let context = FunctionContext()
    context.needsInputGradient = needsInputGradient
    context.materializesGradients = materializesGradients
    context.tensorsToSave = try derivative.call.tensors(2)
    var arrived = derivative.gradients.makeIterator()
    let gradients = try definition.gradients(
      isDifferentiable.map { $0 ? arrived.next() ?? nil : nil }, of: outputs, context, inputCount: inputCount)
    let inputs = try derivative.call.tensors(1)
    return .list(
      try zip(gradients, inputs).enumerated().map { index, pair in
        guard let gradient = pair.0 else { return .none }
        return .reference(
          try GradientValidation.fitted(gradient, to: TensorMeta(pair.1)) {
            "gradient \(index) given by \(type(of: definition))"
          })
      })
  }
}
