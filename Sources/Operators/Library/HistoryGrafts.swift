import GraphIR
import TensorCore

extension OperatorLibrary {
  static let historyGrafts = [withHistory]

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
}
