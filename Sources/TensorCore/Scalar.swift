/// A number beside tensors: an operator's `Scalar` argument.
///
/// Its kind takes part in type promotion by category only, as a Python number does in PyTorch.
public enum Scalar: Hashable, Sendable {
  case bool(Bool)
  case int(Int)
  case double(Double)

  public var doubleValue: Double {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): Double(value)
    case .double(let value): value
    }
  }

  /// The value as an integer, toward zero; saturated, and 0 for NaN, where it does not fit.
  public var intValue: Int {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): value
    case .double(let value): Int(exactly: value.rounded(.towardZero)) ?? (value > 0 ? .max : value < 0 ? .min : 0)
    }
  }

  /// The dtype a tensor made of this number alone would have.
  public var dtype: DType {
    switch self {
    case .bool: .bool
    case .int: .int64
    case .double: .float32
    }
  }
}

extension Scalar: ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral {
  public init(integerLiteral value: Int) { self = .int(value) }
  public init(floatLiteral value: Double) { self = .double(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
}

extension Scalar: CustomStringConvertible {
  public var description: String {
    switch self {
    case .bool(let value): "\(value)"
    case .int(let value): "\(value)"
    case .double(let value): "\(value)"
    }
  }
}
