import GraphIR
import TensorCore

extension OperatorLibrary {
  static let marginLosses = [multiMarginLoss]

  /// Per sample, the sum over wrong classes of max(0, margin - x[target] + x[class])^p, weighted by the target and divided by the
  /// number of classes. Reduced.
  ///
  /// - Shape: input [N, C] with targets [N], or [C] with [].
  public static let multiMarginLoss = OperatorDefinition(
    """
    multi_margin_loss(Tensor self, Tensor target, Scalar p=1, Scalar margin=1, Tensor? weight=None, int reduction=1) \
    -> Tensor
    """,
    .composite { call in
      var (input, target) = (try call.tensor(0), try call.tensor(1))
      let power = try call.double(2)
      guard power == 1 || power == 2 else { throw call.mismatch(2, "1 or 2") }
      let isBatch = input.rank == 2
      if !isBatch { (input, target) = (try input.unsqueeze(0), try target.reshape([-1])) }
      guard input.rank == 2, target.rank == 1, input.shape[0] == target.shape[0], input.shape[1] > 0 else {
        throw OperatorError(
          .shape, call.target.name,
          "needs inputs [N, C] with targets [N], or [C] with []; got \(input.sizes) and \(target.sizes)")
      }
      let places = try target.unsqueeze(1)
      var terms = try (input - input.gather(1, places) + call.scalar(3)).clampMin(0)
      if power == 2 { terms = try terms * terms }
      if let weight = try call.optionalTensor(4) { terms = try terms * weight.indexSelect(0, target).unsqueeze(1) }
      let losses = try terms.scatter(1, places, value: 0).sum([1]) / Double(input.shape[1])
      return .reference(try (isBatch ? losses : losses.squeeze(0)).reduced(call.lossReduction(5)))
    })
}
