import GraphIR
import LoopIR
import TensorCore

extension OperatorLibrary {
  static let dataReplacement = [withData]

  /// The elements of `data` with the gradient history of `self`: what `self` is after a write that autograd did not see.
  ///
  /// A functional graph has no other way to say it. Once derivatives are traced it means `data` itself.
  public static let withData = OperatorDefinition(
    "aot::with_data(Tensor self, Tensor data) -> Tensor", traits: .pointwise,
    .kernel(
      shape: { call in
        let (history, data) = (try call.tensor(0), try call.tensor(1))
        guard history.sizes == data.sizes, history.dtype == data.dtype else {
          throw OperatorError(
            .shape, call.target.name,
            "needs two tensors of one shape and type, got \(history.dtype) \(history.sizes) and \(data.dtype) \(data.sizes)"
          )
        }
        return [TensorMeta(dtype: data.dtype, layout: data.layout.copied(), device: data.device)]
      },
      lowering: { call, results, builder in builder.copy(try call.reference(1), to: results[0]) })
  )
  .derivative(of: "self") { $0.gradient }
}
