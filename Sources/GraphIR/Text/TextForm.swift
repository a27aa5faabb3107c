import TensorCore

/// How values are spelled in the text form of graphs. `ValueParser` reads the same back.
enum TextForm {
  /// A string between quotes, in one line of printable characters.
  static func quoted(_ string: String) -> String {
    if string.utf8.allSatisfy(isPlain) { return "\"\(string)\"" }
    var result = "\""
    result.reserveCapacity(string.utf8.count + 2)
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case "\r": result += "\\r"
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
        result += "\\u{\(String(scalar.value, radix: 16))}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// Whether a byte stands for itself between quotes: printable ASCII but for quote and backslash.
  static func isPlain(_ byte: UInt8) -> Bool { byte >= 0x20 && byte < 0x7F && byte != 0x22 && byte != 0x5C }

  /// A name as it is where it is an identifier, else quoted.
  static func name(_ name: String) -> String { NameTable.isIdentifier(name) ? name : quoted(name) }

  /// The shortest decimal that reads back as the same double; a NaN other than the usual one shows its bits.
  static func exact(_ value: Double) -> String {
    guard value.isNaN, value.bitPattern != Double.nan.bitPattern else { return value.description }
    return "nan(0x\(String(value.bitPattern, radix: 16)))"
  }

  static func operatorName(_ name: OperatorName) -> String {
    "\(Self.name(name.namespace)).\(Self.name(name.base)).\(Self.name(name.overload))"
  }

  /// `cpu`, `cuda:1`.
  static func device(_ device: Device) -> String {
    device.kind == .cpu && device.index != 0 ? "cpu:\(device.index)" : device.description
  }

  /// `Sources/Model.swift:12`; a path with unusual characters is quoted.
  static func location(_ source: SourceLocation) -> String {
    let isPlain = !source.file.isEmpty && source.file.utf8.allSatisfy(isPathByte)
    return "\(isPlain ? source.file : quoted(source.file)):\(source.line)"
  }

  static func isPathByte(_ byte: UInt8) -> Bool {
    TextScanner.isWord(byte) || byte == 0x2F || byte == 0x2E || byte == 0x2D || byte == 0x2B
  }
}

// MARK: - Arguments

extension TextForm {
  /// Appends an argument, with references spelled by `reference`.
  static func append<Reference>(
    _ argument: Argument<Reference>, to text: inout String, reference: (Reference, inout String) -> Void
  ) {
    switch argument {
    case .none: text += "none"
    case .reference(let value): reference(value, &text)
    case .bool(let value): text += value ? "true" : "false"
    case .int(let value): text += value.description
    case .double(let value): text += exact(value)
    case .string(let value): text += quoted(value)
    case .dtype(let value):
      text += "."
      text += value.abbreviation
    case .device(let value):
      text += "."
      text += device(value)
    case .memoryFormat(let value):
      text += "."
      text += value.rawValue
    case .list(let values):
      text += "["
      append(values, to: &text, reference: reference)
      text += "]"
    case .tuple(let values):
      text += "("
      append(values, to: &text, reference: reference)
      text += values.count == 1 ? ",)" : ")"
    case .dictionary(let entries):
      text += "{"
      for (index, entry) in entries.enumerated() {
        if index > 0 { text += ", " }
        text += quoted(entry.key)
        text += ": "
        append(entry.value, to: &text, reference: reference)
      }
      text += "}"
    }
  }

  private static func append<Reference>(
    _ values: [Argument<Reference>], to text: inout String, reference: (Reference, inout String) -> Void
  ) {
    for (index, value) in values.enumerated() {
      if index > 0 { text += ", " }
      append(value, to: &text, reference: reference)
    }
  }

  /// Appends `f32[8, 4]`, followed by what is not the usual: `strides [1, 8] offset 2 on cuda:0 requires_grad #3`.
  static func append(_ tensor: TensorMeta, to text: inout String) {
    text += tensor.dtype.abbreviation
    append(tensor.layout.sizes, to: &text)
    if !tensor.layout.hasContiguousStrides {
      text += " strides "
      append(tensor.layout.strides, to: &text)
    }
    if tensor.layout.offset != 0 {
      text += " offset "
      text += tensor.layout.offset.description
    }
    if tensor.device != .cpu {
      text += " on "
      text += device(tensor.device)
    }
    if tensor.requiresGrad { text += " requires_grad" }
    if let storage = tensor.storageID {
      text += " #"
      text += String(storage)
    }
  }

  private static func append(_ sizes: [SymInt], to text: inout String) {
    text += "["
    for (index, size) in sizes.enumerated() {
      if index > 0 { text += ", " }
      text += size.description
    }
    text += "]"
  }

  static func append(_ value: MetaValue, to text: inout String) {
    append(value, to: &text) { tensor, text in append(tensor, to: &text) }
  }
}

extension Layout {
  /// Whether the strides are exactly those of a dense row-major tensor of these sizes.
  var hasContiguousStrides: Bool {
    var expected = 1
    for (size, stride) in zip(sizes, strides).reversed() {
      if stride.value != expected { return false }
      let (product, overflow) = expected.multipliedReportingOverflow(by: max(size.value, 1))
      if overflow { return false }
      expected = product
    }
    return true
  }
}

extension TensorMeta: CustomStringConvertible {
  /// `f32[8, 4] requires_grad`.
  public var description: String {
    var text = ""
    TextForm.append(self, to: &text)
    return text
  }
}

extension Argument: CustomStringConvertible where Reference: CustomStringConvertible {
  public var description: String {
    var text = ""
    TextForm.append(self, to: &text) { $1 += $0.description }
    return text
  }
}
