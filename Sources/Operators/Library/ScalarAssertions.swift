import GraphIR
import TensorCore

// Assertions on numbers that are no tensors: sizes, for the most part. They are made where the program is captured.
extension OperatorLibrary {
  static let scalarAssertions = [assertScalar, constrainRange, constrainSize]

  /// Refuses a number that is 0.
  public static let assertScalar = OperatorDefinition(
    "_assert_scalar(Scalar self, str assert_msg) -> ()",
    .composite { call in
      guard try call.scalar(0).doubleValue != 0 else {
        throw OperatorError(.assertion, call.target.name, try call.string(1))
      }
      return .none
    })

  /// Refuses a number outside of a range.
  public static let constrainRange = OperatorDefinition(
    "sym_constrain_range(Scalar size, *, int? min=None, int? max=None) -> ()",
    .composite { try requireInRange($0) })

  /// Refuses a size outside of a range.
  public static let constrainSize = OperatorDefinition(
    "sym_constrain_range_for_size(Scalar size, *, int? min=None, int? max=None) -> ()",
    .composite { try requireInRange($0, atLeast: 0) })

  private static func requireInRange(_ call: OperatorCall, atLeast least: Int = .min) throws -> Value {
    let size = try call.scalar(0).intValue
    let (minimum, maximum) = (Swift.max(try call.optionalInt(1) ?? .min, least), try call.optionalInt(2) ?? .max)
    guard minimum <= size, size <= maximum else {
      throw OperatorError(.assertion, call.target.name, "\(size) is not in the range from \(minimum) to \(maximum)")
    }
    return .none
  }
}
