import GraphIR
import TensorCore

extension OperatorLibrary {
  static let weightNorms = [weightNorm, weightNormInterface, normExceptDimension]

  /// A weight of direction `v` and length `g` per index of a dimension: g · v / ‖v‖. See T. Salimans and D. Kingma, 2016.
  public static let weightNorm = OperatorDefinition(
    "_weight_norm(Tensor v, Tensor g, int dim=0) -> Tensor",
    .composite { call in .reference(try normalizedWeight(call).weight) })

  /// The same, and the norms.
  public static let weightNormInterface = OperatorDefinition(
    "_weight_norm_interface(Tensor v, Tensor g, int dim=0) -> (Tensor, Tensor)",
    .composite { call in
      let (weight, norm) = try normalizedWeight(call)
      return .tuple([.reference(weight), .reference(norm)])
    })

  /// The norm of each slice along a dimension, with sizes of 1 for the others; of all elements for dimension -1.
  public static let normExceptDimension = OperatorDefinition(
    "norm_except_dim(Tensor v, int pow=2, int dim=0) -> Tensor",
    .composite { call in
      let input = try call.tensor(0)
      if try call.int(2) == -1 { return .reference(try vectorNorm(.reference(input), call.arguments[1])) }
      let dimension = try call.dimension(2, rank: input.rank)
      let others = (0..<input.rank).filter { $0 != dimension }
      // No dimensions would mean all.
      guard !others.isEmpty else { return .reference(try input.abs()) }
      return .reference(try vectorNorm(.reference(input), call.arguments[1], Value(others), .bool(true)))
    })

  private static func normalizedWeight(_ call: OperatorCall) throws -> (weight: Tensor, norm: Tensor) {
    let (direction, length) = (try call.tensor(0), try call.tensor(1))
    let norm = try normExceptDimension(.reference(direction), .int(2), call.arguments[2])
    return (try direction * (length / norm), norm)
  }
}
