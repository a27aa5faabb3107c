import Foundation
import TensorCore

// Schemas print exactly as PyTorch prints them: `parsing` and `description` are each other's inverse on that spelling.

extension OperatorSchema: CustomStringConvertible {
  public var description: String {
    var words: [String] = []
    var isKeywordOnly = false
    for parameter in parameters {
      if parameter.isKeywordOnly, !isKeywordOnly {
        words.append("*")
        isKeywordOnly = true
      }
      words.append(parameter.description)
    }
    let returned = returns.map(\.description).joined(separator: ", ")
    let overload = name.overload == "default" ? "" : ".\(name.overload)"
    return "\(name.namespace)::\(name.base)\(overload)(\(words.joined(separator: ", "))) -> "
      + (returns.count == 1 ? returned : "(\(returned))")
  }
}

extension OperatorSchema.Parameter: CustomStringConvertible {
  public var description: String {
    let declaration = "\(type.annotated(alias)) \(name)"
    return defaultValue.map { "\(declaration)=\($0.schemaSpelling(as: type))" } ?? declaration
  }
}

extension OperatorSchema.Return: CustomStringConvertible {
  public var description: String { type.annotated(alias) + (name.map { " \($0)" } ?? "") }
}

extension AliasAnnotation: CustomStringConvertible {
  /// `(a!)`, `(a -> *)`.
  public var description: String {
    let after = setsAfter.map { " -> " + $0.joined(separator: "|") } ?? ""
    return "(\(sets.joined(separator: "|"))\(isWrite ? "!" : "")\(after))"
  }
}

extension SchemaType: CustomStringConvertible {
  public var description: String { annotated(nil) }

  /// The type with an alias annotation behind its word: `Tensor(a!)?`, `Tensor(a)[]`.
  func annotated(_ alias: AliasAnnotation?) -> String {
    switch self {
    case .optional(let wrapped): wrapped.annotated(alias) + "?"
    case .list(let element, let count): element.annotated(alias) + "[\(count.map { "\($0)" } ?? "")]"
    default: word + (alias?.description ?? "")
    }
  }

  private var word: String {
    switch self {
    case .tensor: "Tensor"
    case .int: "int"
    case .symInt: "SymInt"
    case .float: "float"
    case .bool: "bool"
    case .symBool: "SymBool"
    case .string: "str"
    case .scalar: "Scalar"
    case .dtype: "ScalarType"
    case .layout: "Layout"
    case .device: "Device"
    case .memoryFormat: "MemoryFormat"
    case .generator: "Generator"
    case .anything, .optional, .list: "Any"
    }
  }
}

extension Argument where Reference == Never {
  /// The constant as a default in the schema language.
  fileprivate func schemaSpelling(as type: SchemaType) -> String {
    // One integer stands for a list of two or more that repeats it, for `int` though not for `SymInt`.
    if case (.list(.int, let count?), .list(let values)) = (type, self), let first = values.first,
      count > 1, values.count == count, values.allSatisfy({ $0 == first })
    {
      return first.schemaSpelling
    }
    return schemaSpelling
  }

  private var schemaSpelling: String {
    switch self {
    case .none: "None"
    case .bool(let value): value ? "True" : "False"
    case .int(let value): value.description
    case .double(let value): Self.schemaSpelling(of: value)
    case .string(let value): TextForm.quoted(value)
    case .dtype(let value): "\(value.schemaNumber)"
    case .device(let value): TextForm.quoted(value.description)
    case .memoryFormat(let value): "\(value.schemaNumber)"
    case .list(let values), .tuple(let values): "[" + values.map(\.schemaSpelling).joined(separator: ", ") + "]"
    case .dictionary(let entries):
      "{" + entries.map { "\(TextForm.quoted($0.key)): \($0.value.schemaSpelling)" }.joined(separator: ", ") + "}"
    }
  }

  /// Whole numbers end in a point; others have the 17 digits that C++ prints.
  private static func schemaSpelling(of value: Double) -> String {
    if let whole = Int(exactly: value), !(value == 0 && value.sign == .minus) { return "\(whole)." }
    if value == 0 { return "-0." }
    return value.isFinite ? String(format: "%.17g", value) : TextForm.exact(value)
  }
}
