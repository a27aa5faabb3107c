import GraphIR
import TensorCore

/// What a program says of a tensor. Sizes may be symbolic.
struct ProgramTensor {
  let type: ElementType
  let sizes: [ProgramSize]
  let strides: [ProgramSize]
  let offset: ProgramSize
  let requiresGrad: Bool

  /// A type of elements, by PyTorch's number for files.
  enum ElementType: Hashable {
    case dtype(DType)
    /// One that this package does not have, by name.
    case other(String)

    init(number: Int) throws(ModelFormatError) {
      if let dtype = Self.dtypes[number] {
        self = .dtype(dtype)
      } else if let name = Self.otherNames[number] {
        self = .other(name)
      } else {
        throw ModelFormatError(.malformed, "there is no dtype \(number)")
      }
    }

    private static let dtypes: [Int: DType] = [
      1: .uint8, 2: .int8, 3: .int16, 4: .int32, 5: .int64, 6: .float16, 7: .float32, 8: .float64, 12: .bool,
      13: .bfloat16,
    ]

    private static let otherNames = [
      0: "unknown", 9: "complex32", 10: "complex64", 11: "complex128", 28: "uint16", 29: "float8_e4m3fn",
      30: "float8_e5m2", 31: "float8_e4m3fnuz", 32: "float8_e5m2fnuz", 33: "float8_e8m0fnu", 34: "uint32", 35: "uint64",
    ]

    /// - Throws: `ModelFormatError` with code `unsupported` for a type that this package does not have.
    func known() throws(ModelFormatError) -> DType {
      switch self {
      case .dtype(let dtype): return dtype
      case .other(let name): throw ModelFormatError(.unsupported, "elements of type \(name) are not supported")
      }
    }
  }

  init(_ json: JSONValue) throws(ModelFormatError) {
    type = try ElementType(number: json.required("dtype").int("dtype"))
    sizes = try json.required("sizes").map("sizes") { json throws(ModelFormatError) in try ProgramSize(json) }
    strides = try json.required("strides").map("strides") { json throws(ModelFormatError) in try ProgramSize(json) }
    offset = try ProgramSize(json.required("storage_offset"))
    requiresGrad = try json["requires_grad"]?.bool("requires_grad") ?? false
    let layout = try json.required("layout").int("layout")
    guard layout == Self.stridedLayout else {
      throw ModelFormatError(.unsupported, "a tensor of layout \(layout), sparse or opaque, is not supported")
    }
    guard sizes.count == strides.count else {
      throw ModelFormatError(.malformed, "a tensor has \(sizes.count) sizes and \(strides.count) strides")
    }
  }

  static let stridedLayout = 7

  /// The layout of a payload, whose sizes are all known.
  func layout(_ dtype: DType) throws(ModelFormatError) -> Layout {
    var (sizes, strides): ([SymInt], [SymInt]) = ([], [])
    for size in self.sizes { sizes.append(SymInt(try size.known())) }
    for stride in self.strides { strides.append(SymInt(try stride.known())) }
    let offset = SymInt(try offset.known())
    guard strides.allSatisfy({ $0 >= 0 }),
      let layout = Layout(checkedSizes: sizes, strides: strides, offset: offset, itemBytes: dtype.byteCount)
    else {
      throw ModelFormatError(
        .malformed, "no memory can hold a tensor of sizes \(sizes), strides \(strides) and offset \(offset)")
    }
    return layout
  }
}

/// A size, stride or offset: a number, or an expression over symbols.
enum ProgramSize {
  case known(Int)
  /// With what it was in the example that the program was exported with; nil where only running tells.
  case expression(PythonExpression, text: String, hint: Int?)

  init(_ json: JSONValue) throws(ModelFormatError) {
    let (tag, value) = try json.union("size")
    switch tag {
    case "as_int": self = .known(try value.int("size"))
    case "as_expr":
      let text = try value.required("expr_str").string("expr_str")
      do {
        let hint = try? value.optional("hint")?.optional("as_int")?.int("hint")
        self = .expression(try PythonExpression(parsing: text), text: text, hint: hint)
      } catch {
        throw ModelFormatError(.malformed, "the size '\(text)' cannot be read: \(error)")
      }
    default: throw ModelFormatError(.malformed, "a size is tagged '\(tag)'")
    }
  }

  /// The size in the example that the program was exported with; nil where only running tells.
  var example: Int? {
    switch self {
    case .known(let value): value
    case .expression(_, _, let hint): hint
    }
  }

  func known() throws(ModelFormatError) -> Int {
    switch self {
    case .known(let value): return value
    case .expression(_, let text, _):
      throw ModelFormatError(.unsupported, "the size '\(text)' of a weight or constant is symbolic")
    }
  }
}

extension ProgramSize: CustomStringConvertible {
  /// A number, or the expression; a symbol alone is its name.
  var description: String {
    switch self {
    case .known(let value): "\(value)"
    case .expression(.call(.name("Symbol"), _), let text, _):
      text.split(separator: "'").dropFirst().first.map(String.init) ?? text
    case .expression(_, let text, _): text
    }
  }
}

extension ProgramTensor: CustomStringConvertible {
  /// `f32[s17, 16]`
  var description: String {
    let sizes = sizes.map(\.description).joined(separator: ", ")
    return switch type {
    case .dtype(let dtype): "\(dtype.abbreviation)[\(sizes)]"
    case .other(let name): "\(name)[\(sizes)]"
    }
  }
}
