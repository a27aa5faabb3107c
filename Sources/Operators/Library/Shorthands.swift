import GraphIR
import TensorCore

// Operators that are others with some arguments given.
extension OperatorLibrary {
  static let shorthands = [
    matrixTranspose, matrixAdjoint, matrixH, adjoint, flipLeftRight, flipUpDown, atLeast1D, atLeast2D, atLeast3D,
    sortRows,
    real, conjugate, lift, frobeniusNorm, linalgNorm, vectorDot, powerOfTwoScaled, floatPower, floatPowerScalar,
  ]

  public static let matrixTranspose = OperatorDefinition(
    "mT(Tensor(a) self) -> Tensor(a)", .composite { .reference(try transposedMatrices($0)) })
  public static let matrixAdjoint = OperatorDefinition(
    "mH(Tensor(a) self) -> Tensor(a)", .composite { .reference(try transposedMatrices($0)) })
  public static let matrixH = OperatorDefinition(
    "matrix_H(Tensor(a) self) -> Tensor(a)", .composite { .reference(try transposedMatrices($0)) })
  public static let adjoint = OperatorDefinition(
    "adjoint(Tensor(a) self) -> Tensor(a)", .composite { .reference(try transposedMatrices($0)) })

  private static func transposedMatrices(_ call: OperatorCall) throws -> Tensor {
    let input = try call.tensor(0)
    guard input.rank >= 2 else {
      throw OperatorError(.shape, call.target.name, "needs matrices, got sizes \(input.sizes)")
    }
    return try input.transpose(-2, -1)
  }

  public static let flipLeftRight = OperatorDefinition(
    "fliplr(Tensor self) -> Tensor", .composite { .reference(try flipped($0, 1)) })
  public static let flipUpDown = OperatorDefinition(
    "flipud(Tensor self) -> Tensor", .composite { .reference(try flipped($0, 0)) })

  private static func flipped(_ call: OperatorCall, _ dimension: Int) throws -> Tensor {
    let input = try call.tensor(0)
    guard input.rank > dimension else {
      throw OperatorError(.shape, call.target.name, "needs more than \(dimension) dimensions, got sizes \(input.sizes)")
    }
    return try input.flip([dimension])
  }

  public static let atLeast1D = OperatorDefinition(
    "atleast_1d(Tensor self) -> Tensor",
    .composite { call in
      let input = try call.tensor(0)
      return .reference(input.rank == 0 ? try input.reshape([1]) : input)
    })

  public static let atLeast2D = OperatorDefinition(
    "atleast_2d(Tensor self) -> Tensor",
    .composite { call in
      let input = try call.tensor(0)
      return .reference(input.rank == 0 ? try input.reshape([1, 1]) : input.rank == 1 ? try input.unsqueeze(0) : input)
    })

  public static let atLeast3D = OperatorDefinition(
    "atleast_3d(Tensor self) -> Tensor",
    .composite { call in
      let input = try call.tensor(0)
      switch input.rank {
      case 0: return .reference(try input.reshape([1, 1, 1]))
      case 1: return .reference(try input.unsqueeze(0).unsqueeze(-1))
      case 2: return .reference(try input.unsqueeze(-1))
      default: return .reference(input)
      }
    })

  /// Each column sorted.
  public static let sortRows = OperatorDefinition(
    "msort(Tensor self) -> Tensor",
    .composite { call in .reference(try named("aten.sort.default").several(call.arguments[0], .int(0))[0]) })

  // No tensor here has an imaginary part.

  public static let real = OperatorDefinition("real(Tensor(a) self) -> Tensor(a)", .composite { $0.arguments[0] })
  public static let conjugate = OperatorDefinition("conj(Tensor(a) self) -> Tensor(a)", .composite { $0.arguments[0] })
  public static let lift = OperatorDefinition("lift(Tensor self) -> Tensor", .composite { $0.arguments[0] })

  public static let frobeniusNorm = OperatorDefinition(
    "frobenius_norm.dim(Tensor self, int[1] dim, bool keepdim=False) -> Tensor",
    .composite { call in
      .reference(try vectorNorm(call.arguments[0], .int(2), call.arguments[1], call.arguments[2]))
    })

  /// The vector norm of all elements without an order, or along one dimension; that of matrices is not here.
  public static let linalgNorm = OperatorDefinition(
    """
    linalg_norm(Tensor self, Scalar? ord=None, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor
    """,
    .composite { call in
      let order = call.arguments[1].isNone ? Value.int(2) : call.arguments[1]
      let dimensionCount = try call.optionalInts(2)?.count ?? call.tensor(0).rank
      guard call.arguments[1].isNone || dimensionCount == 1 else {
        throw OperatorError(.notImplemented, call.target.name, "matrix norms are not supported")
      }
      return .reference(
        try vectorNorm(call.arguments[0], order, call.arguments[2], call.arguments[3], call.arguments[4]))
    })

  public static let vectorDot = OperatorDefinition(
    "linalg_vecdot(Tensor x, Tensor y, *, int dim=-1) -> Tensor",
    .composite { call in .reference(try (call.tensor(0) * call.tensor(1)).sum([call.int(2)])) })

  /// self · 2^other
  public static let powerOfTwoScaled = OperatorDefinition(
    "ldexp.Tensor(Tensor self, Tensor other) -> Tensor",
    .composite { call in .reference(try call.tensor(0) * named("aten.exp2.default")(call.arguments[1])) })

  public static let floatPower = OperatorDefinition(
    "float_power.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor",
    .composite { call in .reference(try call.tensor(0).to(.float64).pow(call.tensor(1).to(.float64))) })

  public static let floatPowerScalar = OperatorDefinition(
    "float_power.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor",
    .composite { call in .reference(try call.tensor(0).to(.float64).pow(call.double(1))) })
}
