import GraphIR
import TensorCore

extension OperatorLibrary {
  static let crossProducts = [linalgCross, cross]

  /// The cross products of the vectors of three elements along a dimension; the others broadcast.
  public static let linalgCross: OperatorDefinition = .decomposed(
    "linalg_cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor"
  ) { call in
    let (left, right) = (try call.tensor(0), try call.tensor(1))
    guard left.rank == right.rank, left.rank > 0, left.dtype == right.dtype else {
      throw OperatorError(
        .shape, call.target.name,
        "needs two tensors of one rank, at least 1, and one dtype, got \(left.dtype) \(left.sizes) and"
          + " \(right.dtype) \(right.sizes)")
    }
    try call.refuseBool(left)
    let dimension = try call.dimension(2, rank: left.rank)
    guard left.sizes[dimension] == 3, right.sizes[dimension] == 3 else {
      throw OperatorError(
        .shape, call.target.name,
        "dimension \(dimension) must have size 3 in both operands, got sizes \(left.sizes) and \(right.sizes)")
    }
    func component(_ tensor: Tensor, _ index: Int) throws -> Tensor {
      try tensor.narrow(dimension, from: index % 3, length: 1)
    }
    let components = try (0..<3).map { index in
      try component(left, index + 1) * component(right, index + 2) - component(left, index + 2)
        * component(right, index + 1)
    }
    return .reference(try Tensor.cat(components, dimension: dimension))
  }
  .derivative(of: "self", saving: ["other"]) { d in
    try linalgCross(d["other"], .reference(d.gradient), d["dim"])
  }
  .derivative(of: "other", saving: ["self"]) { d in
    try linalgCross(.reference(d.gradient), d["self"], d["dim"])
  }

  /// As `linalg_cross`; without a dimension, along the first of size 3.
  public static let cross = OperatorDefinition(
    "cross(Tensor self, Tensor other, int? dim=None) -> Tensor",
    .composite { call in
      guard let dimension = try call.optionalInt(2) ?? call.tensor(0).sizes.firstIndex(of: 3) else {
        throw OperatorError(
          .shape, call.target.name, "needs a dimension of size 3, got sizes \(try call.tensor(0).sizes)")
      }
      return .reference(try linalgCross(call.arguments[0], call.arguments[1], Value(dimension)))
    })
}

extension Tensor {
  /// The cross products of the vectors of three elements along a dimension; without one, along the first of size 3.
  public func cross(_ other: Tensor, _ dimension: Int? = nil) throws -> Tensor {
    try OperatorLibrary.cross(.reference(self), .reference(other), dimension.map { Value($0) } ?? .none)
  }
}
