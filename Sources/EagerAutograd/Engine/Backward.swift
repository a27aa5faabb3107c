import GraphIR
import Operators
import TensorCore

extension Tensor {
  /// Adds the gradients of this tensor with respect to the leaves it was computed from to their `grad`.
  ///
  /// - Parameters:
  ///   - gradient: The gradient with respect to this tensor, of its shape; 1 for a tensor of one element.
  ///   - retainGraph: Whether saved values are kept for another pass; as `createGraph` where nil.
  ///   - createGraph: Whether the pass itself is recorded, so that its gradients can be differentiated.
  ///   - inputs: The tensors whose `grad` is added to; all leaves where nil.
  /// - Throws: `AutogradError`; whatever an operator, a hook or a custom function throws.
  public func backward(
    gradient: Tensor? = nil, retainGraph: Bool? = nil, createGraph: Bool = false, inputs: [Tensor]? = nil
  ) throws {
    try EagerAutograd.backward(
      [self], gradients: [gradient], retainGraph: retainGraph, createGraph: createGraph, inputs: inputs)
  }
}

/// Adds the gradients of several tensors, summed, with respect to the leaves to their `grad`; see `Tensor.backward`.
///
/// - Parameter gradients: One per output, nil for 1; all nil where the list is nil.
public func backward(
  _ outputs: [Tensor], gradients: [Tensor?]? = nil, retainGraph: Bool? = nil, createGraph: Bool = false,
  inputs: [Tensor]? = nil
) throws {
  guard DispatchContext.current.mode == nil else {
    throw AutogradError(
      .notCapturable,
      "backward() writes to leaves' grad, which a captured function cannot; use grad(of:with:) and return the gradients"
    )
  }
  let roots = try Root.list(outputs, gradients: gradients)
  var targets: [GradientEdge]?
  if let inputs {
    guard !inputs.isEmpty else { throw AutogradError(.noGradient, "backward() was given an empty list of inputs") }
    targets = try inputs.map { input in
      try input.retainGrad()
      guard let edge = try input.gradientEdge() else { throw AutogradError.doesNotRequire("an input of backward()") }
      return edge
    }
  }
  var pass = BackwardPass(roots: roots, keepsGraph: retainGraph ?? createGraph)
  if let targets { pass.restrict(to: targets, capturing: false) }
  _ = try DispatchContext.current.withGrad(createGraph) { try pass.run() }
}

/// The gradients of the sum of `outputs` with respect to `inputs`; nobody's `grad` is touched.
///
/// - Parameters:
///   - gradients: The gradient with respect to each output, of its shape; nil for 1, where it has one element.
///   - retainGraph: Whether saved values are kept for another pass; as `createGraph` where nil.
///   - createGraph: Whether the pass itself is recorded, so that its gradients can be differentiated.
///   - allowUnused: Whether an input that no output depends on gives nil rather than an error.
/// - Throws: `AutogradError`; whatever an operator, a hook or a custom function throws.
public func grad(
  of outputs: [Tensor], with inputs: [Tensor], gradients: [Tensor?]? = nil, retainGraph: Bool? = nil,
  createGraph: Bool = false, allowUnused: Bool = false
) throws -> [Tensor?] {
  let mode = DispatchContext.current.mode
  let roots = try Root.list(outputs, gradients: gradients)
  let edges = try inputs.map { input -> GradientEdge in
    let input = try mode?.lift(input) ?? input
    guard let edge = try input.gradientEdge() else { throw AutogradError.doesNotRequire("an input of grad(of:)") }
    return edge
  }
  var pass = BackwardPass(roots: roots, keepsGraph: retainGraph ?? createGraph)
  pass.restrict(to: edges, capturing: true)
  let results = try DispatchContext.current.withGrad(createGraph) { try pass.run() }
  if !allowUnused, let unused = results.firstIndex(where: { $0 == nil }) {
    throw AutogradError(
      .unusedInput,
      "input \(unused) (shape \(inputs[unused].sizes)) was not used to compute the outputs; pass allowUnused: true to get nil for it"
    )
  }
  return results
}

/// The gradients of `output` with respect to several tensors, all of which it must depend on; see above.
public func grad(
  of output: Tensor, with inputs: [Tensor], gradient: Tensor? = nil, retainGraph: Bool? = nil,
  createGraph: Bool = false
) throws -> [Tensor] {
  try grad(of: [output], with: inputs, gradients: [gradient], retainGraph: retainGraph, createGraph: createGraph)
    .compactMap(\.self)
}

/// The gradient of `output` with respect to one tensor; see above.
public func grad(
  of output: Tensor, with input: Tensor, gradient: Tensor? = nil, retainGraph: Bool? = nil,
  createGraph: Bool = false
) throws -> Tensor {
  try grad(of: output, with: [input], gradient: gradient, retainGraph: retainGraph, createGraph: createGraph)[0]
}

/// Where a backward pass starts.
struct Root {
  let edge: GradientEdge
  let gradient: Tensor

  static func list(_ outputs: [Tensor], gradients: [Tensor?]?) throws -> [Root] {
    guard !outputs.isEmpty else { throw AutogradError(.noGradient, "no outputs were given to differentiate") }
    guard gradients == nil || gradients?.count == outputs.count else {
      throw AutogradError(
        .invalidGradient, "\(outputs.count) outputs need as many gradients, got \(gradients?.count ?? 0)")
    }
    let mode = DispatchContext.current.mode
    return try outputs.enumerated().map { index, output in
      let output = try mode?.lift(output) ?? output
      guard let edge = try output.gradientEdge() else { throw AutogradError.doesNotRequire("output \(index)") }
      let gradient = try gradients?[index].map { try mode?.lift($0) ?? $0 }
      return Root(edge: edge, gradient: try initial(gradient, for: output, at: edge, index))
    }
  }

  private static func initial(
    _ gradient: Tensor?, for output: Tensor, at edge: GradientEdge, _ index: Int
  ) throws -> Tensor {
    // An output that was given another layout since, with gradients off, is no more what its history is of.
    let meta = edge.function.inputMetadata[edge.inputIndex] ?? TensorMeta(output)
    return try GradientValidation.fitted(given(gradient, for: output, index), to: meta) {
      "the gradient given for output \(index)"
    }
  }

  private static func given(_ gradient: Tensor?, for output: Tensor, _ index: Int) throws -> Tensor {
    guard let gradient else {
      guard output.elementCount == 1 else {
        throw AutogradError(
          .invalidGradient,
          "output \(index) has shape \(output.sizes): only for one element is the gradient 1 by itself; pass a gradient"
        )
      }
      return try .ones(TensorMeta(output))
    }
    guard gradient.sizes == output.sizes else {
      throw AutogradError(
        .invalidGradient,
        "the gradient given for output \(index) has shape \(gradient.sizes), the output has \(output.sizes)")
    }
    return gradient
  }
}

extension AutogradError {
  fileprivate static func doesNotRequire(_ what: String) -> AutogradError {
    AutogradError(
      .noGradient,
      "\(what) does not require a gradient: it was computed from no tensor that does, or inside noGrad { }, or is no longer attached"
    )
  }
}
