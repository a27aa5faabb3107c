import GraphIR
import Operators
import TensorCore

/// A function with a gradient of its own making.
///
/// Its parameters that are no tensors are properties of the type:
///
/// ```swift
/// struct Scale: DifferentiableFunction {
///   let factor: Double
///   func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor] { [try inputs[0] * factor] }
///   func backward(_ gradients: [Tensor?], _ context: FunctionContext) throws -> [Tensor?] {
///     [try gradients[0].map { try $0 * factor }]
///   }
/// }
/// let y = try Scale(factor: 2)(x)
/// ```
///
/// `backward` written in tensor operations can be differentiated itself.
public protocol DifferentiableFunction {
  /// The outputs. Runs without recording. An input may be returned as it is; it comes out as a tensor of its own.
  func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor]

  /// One gradient per input, nil for zero, from one per output.
  func backward(_ gradients: [Tensor?], _ context: FunctionContext) throws -> [Tensor?]
}

extension DifferentiableFunction {
  /// Calls the function, as part of the tape where an input requires a gradient.
  ///
  /// - Throws: `AutogradError` with code `leafInPlace` where an input marked as written to is a leaf that requires a
  ///   gradient; what `forward` throws and, while a function is captured, what `backward` does.
  public func apply(_ inputs: [Tensor]) throws -> [Tensor] {
    let mode = DispatchContext.current.mode
    let inputs = try mode.map { mode in try inputs.map(mode.lift) } ?? inputs
    let context = FunctionContext()
    let recordsGradients = isGradEnabled && inputs.contains { $0.dtype.isFloatingPoint && $0.requiresGrad }
    let edges = try inputs.map { recordsGradients && $0.dtype.isFloatingPoint ? try $0.gradientEdge() : nil }
    context.needsInputGradient = edges.map { $0 != nil }
    let outputs = try noGrad { try forward(inputs, context) }
    guard recordsGradients else {
      context.tensorsToSave = []
      return outputs
    }
    let function = FunctionGradient(self, context, nextEdges: edges)
    if let mode { return try FunctionCapture(self, context, mode).attach(function, to: outputs, inputs: inputs) }
    return try function.attach(to: outputs, inputs: inputs)
  }

  public func callAsFunction(_ inputs: Tensor...) throws -> Tensor {
    let outputs = try apply(inputs)
    guard outputs.count == 1 else {
      throw AutogradError(
        .invalidGradient, "\(Self.self) gives \(outputs.count) outputs where one was expected; call apply(_:)")
    }
    return outputs[0]
  }
}

extension DifferentiableFunction {
  /// The gradients that `backward` gives, from those of outputs with that metadata.
  func gradients(
    _ gradients: [Tensor?], of outputs: [TensorMeta?], _ context: FunctionContext, inputCount: Int
  ) throws -> [Tensor?] {
    var gradients = gradients
    if context.materializesGradients {
      for (index, meta) in outputs.enumerated() where gradients[index] == nil {
        gradients[index] = try meta.map { try .zeros($0) }
      }
    }
    let result = try backward(gradients, context)
    guard result.count == inputCount else {
      throw AutogradError(
        .invalidGradient,
        "backward of \(Self.self) gave \(result.count) gradients, but its forward took \(inputCount) inputs")
    }
    return result
  }
}

/// What `forward` tells `backward`.
public final class FunctionContext {
  /// Whether each input's gradient is wanted.
  public internal(set) var needsInputGradient: [Bool] = []
  /// Whether `backward` gets zeros for outputs that no gradient arrived for, rather than nil.
  public var materializesGradients = true

  var tensorsToSave: [Tensor] = []
  var nonDifferentiable: [Tensor] = []
  var dirty: [Tensor] = []
  var unpack: (() throws -> [Tensor])?

  init() {}

  func isNotDifferentiable(_ output: Tensor) -> Bool {
    !output.dtype.isFloatingPoint || nonDifferentiable.contains { $0 === output }
  }

  /// Keeps tensors for `backward`: inputs, outputs or others.
  public func save(_ tensors: Tensor...) { tensorsToSave += tensors }

  /// What `forward` saved.
  ///
  /// - Throws: `AutogradError` with code `modifiedInPlace` where one was written to since, `backwardTwice` where they were
  ///   freed.
  public func savedTensors() throws -> [Tensor] { try unpack?() ?? tensorsToSave }

  /// Declares outputs that no gradient flows through. Those that are not floating-point need no mention.
  public func markNotDifferentiable(_ outputs: Tensor...) { nonDifferentiable += outputs }

  /// Declares inputs that `forward` has written to, and returns among its outputs.
  public func markDirty(_ inputs: Tensor...) { dirty += inputs }
}
