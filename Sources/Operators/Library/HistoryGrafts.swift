import GraphIR
import TensorCore

extension OperatorLibrary {
  static let historyGrafts = [withHistory, overwrite]

  /// `self` with the gradient history of another tensor: what that tensor is after a write that autograd did not see gave it
  /// these elements.
  ///
  /// A functional graph has no other way to say it. Once derivatives are traced it means `self`.
  public static let withHistory = OperatorDefinition(
    "aot::with_history(Tensor(a) self, Tensor history) -> Tensor(a)",
    .view { call in
      let (input, history) = (try call.tensor(0), try call.tensor(1))
      guard history.sizes == input.sizes, history.dtype == input.dtype else {
        throw OperatorError(
          .shape, call.target.name,
          "needs two tensors of one shape and type, got \(input.dtype) \(input.sizes) and \(history.dtype) \(history.sizes)"
        )
      }
      return [input.layout]
    }
  )
  .derivative(of: "history") { $0.gradient }

  /// A copy of `src` in the place of `self`, of which nothing is left: no gradient goes to it, not even one of zeros as from `copy`.
  public static let overwrite = OperatorDefinition(
    "aot::overwrite(Tensor self, Tensor src) -> Tensor", traits: .pointwise, copy.implementation
  )
  .derivative(of: "self") { _ in nil }
  .derivative(of: "src") { $0.gradient }
  .inPlaceVariant()

  /// A call of a function that has a gradient of its own making: it gives what the function's operators computed, `outputs`,
  /// as values whose gradients go to `inputs` as `gradient` says.
  ///
  /// Every call has an operator of its own. Once derivatives are traced it means `outputs`.
  ///
  /// - Parameter gradient: One gradient per input, as a list, from those of the results; it may read the elements of `saved`.
  public static func customFunction(
    gradient: @escaping @Sendable (DerivativeContext) throws -> Value
  ) -> OperatorDefinition {
    OperatorDefinition(
      "aot::custom_function(Tensor[] outputs, Tensor[] inputs, Tensor[] saved) -> Tensor[]",
      .host(
        shape: { try $0.tensors(0).map { TensorMeta($0) } },
        body: { call, results in
          for (output, result) in zip(try call.tensors(0), results) { try EagerKernels.copy(output, to: result) }
        })
    )
    .derivative(of: "inputs", saving: ["saved"]) { [try gradient($0)] }
  }
}

extension OperatorDefinition {
  /// Whether calls stand for those of a function that has a gradient of its own making.
  public var isCustomFunction: Bool { name == OperatorName("aot", "custom_function") }
}
