/// The type of a tensor's elements.
public enum DType: UInt8, CaseIterable, Hashable, Sendable, BitwiseCopyable {
  case bool, uint8, int8, int16, int32, int64
  case float16, bfloat16, float32, float64

  /// The size of one element, in bytes.
  public var byteCount: Int {
    switch self {
    case .bool, .uint8, .int8: 1
    case .int16, .float16, .bfloat16: 2
    case .int32, .float32: 4
    case .int64, .float64: 8
    }
  }

  public var isFloatingPoint: Bool { rawValue >= DType.float16.rawValue }

  /// Whether elements are integers; `bool` is not one.
  public var isInteger: Bool { self != .bool && !isFloatingPoint }

  /// The short name used in text forms, such as `f32`.
  public var abbreviation: String {
    switch self {
    case .bool: "bool"
    case .uint8: "u8"
    case .int8: "i8"
    case .int16: "i16"
    case .int32: "i32"
    case .int64: "i64"
    case .float16: "f16"
    case .bfloat16: "bf16"
    case .float32: "f32"
    case .float64: "f64"
    }
  }

  private static let byAbbreviation = Dictionary(uniqueKeysWithValues: allCases.map { ($0.abbreviation, $0) })

  /// The type with this short name, or nil.
  public init?(abbreviation: some StringProtocol) {
    guard let dtype = Self.byAbbreviation[String(abbreviation)] else { return nil }
    self = dtype
  }
}

extension DType: CustomStringConvertible {
  /// The name in Swift and in messages, such as `float32`.
  public var description: String {
    switch self {
    case .bool: "bool"
    case .uint8: "uint8"
    case .int8: "int8"
    case .int16: "int16"
    case .int32: "int32"
    case .int64: "int64"
    case .float16: "float16"
    case .bfloat16: "bfloat16"
    case .float32: "float32"
    case .float64: "float64"
    }
  }
}
