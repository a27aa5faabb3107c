import TensorCore

extension SchemaType {
  /// The type that a word of the schema language names, without `?` and `[]`.
  init?(word: String) {
    guard let type = Self.byWord[word] else { return nil }
    self = type
  }

  private static let byWord: [String: SchemaType] = [
    "Tensor": .tensor, "int": .int, "SymInt": .symInt, "float": .float, "bool": .bool, "SymBool": .symBool,
    "str": .string,
    "Scalar": .scalar, "ScalarType": .dtype, "Layout": .layout, "Device": .device, "MemoryFormat": .memoryFormat,
    "Generator": .generator, "Any": .anything,
  ]
}

extension DType {
  /// PyTorch's number of the type, as schemas print defaults.
  var schemaNumber: Int {
    switch self {
    case .uint8: 0
    case .int8: 1
    case .int16: 2
    case .int32: 3
    case .int64: 4
    case .float16: 5
    case .float32: 6
    case .float64: 7
    case .bool: 11
    case .bfloat16: 15
    }
  }

  init?(schemaNumber: Int) {
    guard let dtype = Self.allCases.first(where: { $0.schemaNumber == schemaNumber }) else { return nil }
    self = dtype
  }

  /// The type by one of PyTorch's names, such as `long` or `int64`.
  init?(schemaName: String) {
    switch schemaName {
    case "byte": self = .uint8
    case "char": self = .int8
    case "short": self = .int16
    case "int": self = .int32
    case "long": self = .int64
    case "half": self = .float16
    case "float": self = .float32
    case "double": self = .float64
    default:
      guard let dtype = Self.allCases.first(where: { $0.description == schemaName }) else { return nil }
      self = dtype
    }
  }
}

extension MemoryFormat {
  /// PyTorch's number of the format, as schemas print defaults.
  var schemaNumber: Int {
    switch self {
    case .contiguous: 0
    case .preserve: 1
    case .channelsLast: 2
    case .channelsLast3D: 3
    }
  }

  init?(schemaNumber: Int) {
    guard let format = Self.allCases.first(where: { $0.schemaNumber == schemaNumber }) else { return nil }
    self = format
  }

  /// The format by its name in PyTorch, such as `contiguous_format` or `channels_last`.
  init?(schemaName: String) {
    switch schemaName {
    case "contiguous_format": self = .contiguous
    case "preserve_format": self = .preserve
    default:
      guard let format = Self(rawValue: schemaName) else { return nil }
      self = format
    }
  }
}
