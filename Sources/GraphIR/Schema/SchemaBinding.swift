import TensorCore

extension SchemaType {
  /// The argument in the form that this type has, or nil if it is not of this type.
  ///
  /// An integer is accepted for a `float`, a number for a `Tensor` (PyTorch wraps it), a tuple for a list, and one element for a
  /// list of known length, which then repeats it. A reference in a graph stands for whatever its node gives, so it fits everywhere.
  func accepting<Reference>(_ argument: Argument<Reference>) -> Argument<Reference>? {
    if case .reference = argument { return acceptsReference(Reference.self) ? argument : nil }
    switch (self, argument) {
    case (.anything, _), (.optional, .none): return argument
    case (.optional(let wrapped), _): return wrapped.accepting(argument)
    case (.tensor, .int), (.tensor, .double), (.tensor, .bool): return argument
    case (.int, .int), (.symInt, .int): return argument
    case (.float, .double), (.bool, .bool), (.symBool, .bool), (.string, .string): return argument
    case (.float, .int(let value)): return .double(Double(value.value))
    case (.scalar, .int), (.scalar, .double), (.scalar, .bool): return argument
    case (.dtype, .dtype), (.device, .device), (.memoryFormat, .memoryFormat): return argument
    case (.dtype, .int(let number)): return DType(schemaNumber: number.value).map { .dtype($0) }
    case (.memoryFormat, .int(let number)): return MemoryFormat(schemaNumber: number.value).map { .memoryFormat($0) }
    case (.device, .string(let name)): return Device(name).map { .device($0) }
    case (.layout, .string("strided")), (.layout, .int(0)): return .string("strided")
    case (.list(let element, _), .list(let values)), (.list(let element, _), .tuple(let values)):
      var accepted: [Argument<Reference>] = []
      accepted.reserveCapacity(values.count)
      for value in values {
        guard let value = element.accepting(value) else { return nil }
        accepted.append(value)
      }
      return .list(accepted)
    case (.list(let element, let count?), _):
      if case .list = element { return nil }
      guard count <= OperatorSchema.maximumListCount, let value = element.accepting(argument) else { return nil }
      return .list(Array(repeating: value, count: count))
    default: return nil
    }
  }

  private func acceptsReference<Reference>(_ type: Reference.Type) -> Bool {
    if type == NodeID.self { return true }
    return switch self {
    case .tensor, .anything: true
    case .optional(let wrapped): wrapped.acceptsReference(type)
    default: false
    }
  }
}

extension OperatorSchema {
  /// The longest list that one element may stand for.
  static let maximumListCount = 1024

  /// The arguments of a call in the order of the parameters, with defaults filled in and each in the form its type has.
  ///
  /// - Returns: One argument per parameter.
  /// - Throws: `GraphError` with code `invalidArgument`, naming the operator and the parameter, for an argument too many,
  ///   unknown, given twice, missing, or of the wrong type.
  public func bind<Reference>(
    _ positional: [Argument<Reference>], keywords: [(name: String, value: Argument<Reference>)] = []
  ) throws(GraphError) -> [Argument<Reference>] {
    var bound: [Argument<Reference>] = []
    bound.reserveCapacity(parameters.count)
    // Calls nearly always come with their positional arguments alone; keywords are few, so a search among them is short.
    for (index, parameter) in parameters.enumerated() {
      let keyword = keywords.first { $0.name == parameter.name }
      if index < positional.count, !parameter.isKeywordOnly {
        if keyword != nil { throw failure("'\(parameter.name)' is given twice, by position and by name") }
        bound.append(try accept(positional[index], for: parameter))
      } else if let keyword {
        bound.append(try accept(keyword.value, for: parameter))
      } else if let defaultValue = parameter.defaultValue {
        bound.append(defaultValue.widened())
      } else {
        throw failure("'\(parameter.name)' of type \(parameter.type) is missing")
      }
    }
    let limit = parameters.count { !$0.isKeywordOnly }
    if positional.count > limit {
      let rest = parameters.filter(\.isKeywordOnly).map { "'\($0.name)'" }.joined(separator: ", ")
      throw failure(
        "takes \(limit) positional arguments, got \(positional.count)"
          + (rest.isEmpty ? "" : "; \(rest) must be given by name"))
    }
    for (index, keyword) in keywords.enumerated() {
      guard parameters.contains(where: { $0.name == keyword.name }) else {
        let known = parameters.map { "'\($0.name)'" }.joined(separator: ", ")
        throw failure("has no parameter '\(keyword.name)'; its parameters are \(known.isEmpty ? "none" : known)")
      }
      if keywords[..<index].contains(where: { $0.name == keyword.name }) {
        throw failure("'\(keyword.name)' is given twice by name")
      }
    }
    return bound
  }

  /// - Throws: `GraphError` as `bind` does for bound arguments of which one is not of its parameter's type.
  func requireTypes<Reference>(of bound: [Argument<Reference>]) throws(GraphError) {
    for (parameter, argument) in zip(parameters, bound) { _ = try accept(argument, for: parameter) }
  }

  private func accept<Reference>(
    _ argument: Argument<Reference>, for parameter: Parameter
  ) throws(GraphError) -> Argument<Reference> {
    guard let accepted = parameter.type.accepting(argument) else {
      throw failure("'\(parameter.name)' needs \(parameter.type), got \(argument.spelledForMessages)")
    }
    return accepted
  }

  private func failure(_ message: String) -> GraphError { GraphError(.invalidArgument, "\(name): \(message)") }

  /// The shortest call that `bind` turns into these arguments: trailing defaults left out, keyword-only ones by name.
  ///
  /// - Precondition: There is one argument per parameter.
  public func shortestCall<Reference: Equatable>(
    _ bound: [Argument<Reference>]
  ) -> (positional: [Argument<Reference>], keywords: [(name: String, value: Argument<Reference>)]) {
    precondition(bound.count == parameters.count, "\(name) has \(parameters.count) parameters, got \(bound.count)")
    var positional: [Argument<Reference>] = []
    var keywords: [(name: String, value: Argument<Reference>)] = []
    var neededCount = 0
    for (parameter, argument) in zip(parameters, bound) {
      let isDefault = parameter.defaultValue.map { $0.widened() == argument } ?? false
      if parameter.isKeywordOnly {
        if !isDefault { keywords.append((parameter.name, argument)) }
      } else {
        positional.append(argument)
        if !isDefault { neededCount = positional.count }
      }
    }
    return (Array(positional.prefix(neededCount)), keywords)
  }
}

extension Argument {
  /// What an argument is, for messages: its value where that is short, else its kind.
  var spelledForMessages: String {
    switch self {
    case .none: "none"
    case .reference: "a tensor"
    case .bool(let value): "the bool \(value)"
    case .int(let value): "the int \(value)"
    case .double(let value): "the float \(value)"
    case .string(let value): "the string \(TextForm.quoted(String(value.prefix(40))))"
    case .dtype(let value): "the dtype \(value)"
    case .device(let value): "the device \(value)"
    case .memoryFormat(let value): "the memory format \(value.rawValue)"
    case .list(let values): Self.spelledForMessages("a list", values)
    case .tuple(let values): Self.spelledForMessages("a tuple", values)
    case .dictionary: "a dictionary"
    }
  }

  private static func spelledForMessages(_ kind: String, _ values: [Argument]) -> String {
    guard let first = values.first else { return "an empty \(kind.dropFirst(2))" }
    return "\(kind) of \(values.count), the first \(first.spelledForMessages)"
  }
}
