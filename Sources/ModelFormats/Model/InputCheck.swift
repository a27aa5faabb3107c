import GraphIR
import Operators
import TensorCore

/// What a program was exported for: the types and sizes of its inputs, the values of its constant ones, the ranges and conditions
/// that its symbolic sizes have to meet.
struct InputCheck {
  private let inputs: [Input]
  private let ranges: [ExportedProgram.Range]
  private let guards: [(expression: PythonExpression, text: String)]
  private let tree: TreeSpec?
  private let argumentNames: [String]

  private struct Input {
    let name: String
    let kind: Kind

    enum Kind {
      case tensor(ProgramTensor)
      case number(ProgramSize?)
      case constant(ProgramArgument)
    }
  }

  init(_ program: ExportedProgram) throws(ModelFormatError) {
    var inputs: [Input] = []
    for (argument, spec) in zip(program.graph.inputs, program.inputs) {
      switch (spec, argument) {
      case (.userInput, .tensor(let name)):
        guard let tensor = program.graph.tensors[name] else {
          throw ModelFormatError(.malformed, "nothing is said of the input '\(name)'")
        }
        inputs.append(Input(name: name, kind: .tensor(tensor)))
      case (.userInput, .symbol(let name)):
        inputs.append(Input(name: name, kind: .number(program.graph.integers[name])))
      case (.userInput, _): inputs.append(Input(name: "input_\(inputs.count)", kind: .constant(argument)))
      case (.constant(let name, let value), _): inputs.append(Input(name: name, kind: .constant(value)))
      case (.parameter, _), (.buffer, _), (.tensorConstant, _): continue
      }
    }
    self.inputs = inputs
    ranges = program.ranges
    // What is not understood is not checked, as PyTorch's own loader may do.
    guards = program.guards.compactMap { text in (try? PythonExpression(parsing: text)).map { ($0, text) } }
    tree = program.inputTree
    argumentNames = program.argumentNames
  }

  var names: [String] { inputs.map(\.name) }

  /// The inputs that are tensors, by position.
  var tensorPositions: [Int] {
    inputs.indices.filter { if case .tensor = inputs[$0].kind { true } else { false } }
  }

  /// The value of a constant input; nil for others.
  func constant(at position: Int) -> Value? {
    guard case .constant(let argument) = inputs[position].kind else { return nil }
    return argument.constantValue
  }

  /// An input such as the one that the program was exported with: zeros of its sizes, or the constant.
  ///
  /// - Throws: `ModelFormatError` with code `unsupported` where nothing is known of a size.
  func example(at position: Int) throws -> Value {
    switch inputs[position].kind {
    case .constant(let argument): return argument.constantValue ?? .none
    case .number(let size): return .int(SymInt(size?.example ?? 1))
    case .tensor(let tensor):
      let sizes = tensor.sizes.compactMap(\.example)
      guard sizes.count == tensor.sizes.count else {
        throw ModelFormatError(.unsupported, "no example is known of \(tensor)", argument: inputs[position].name)
      }
      return .reference(try Tensor.zeros(sizes, dtype: tensor.type.known()))
    }
  }

  /// What is known of an input, for people: `f32[s17, 16]`, `3`.
  func description(at position: Int) -> String {
    switch inputs[position].kind {
    case .constant(let argument): argument.constantValue.map { "\($0)" } ?? "constant"
    case .number(let size): size?.description ?? "number"
    case .tensor(let tensor): tensor.description
    }
  }

  /// - Throws: `ModelFormatError` with code `invalidArgument`, naming the input, or the condition that does not hold.
  func check(_ values: [Value]) throws(ModelFormatError) {
    guard values.count == inputs.count else {
      throw ModelFormatError(.invalidArgument, "the program takes \(inputs.count) inputs, got \(values.count)")
    }
    var symbols = SymbolSolution()
    for (input, value) in zip(inputs, values) {
      do throws(ModelFormatError) {
        try check(value, input, &symbols)
      } catch {
        throw error.atArgument(input.name)
      }
    }
    try symbols.solve()
    for range in ranges { try check(range, symbols.values) }
    try checkGuards(values, symbols.values)
  }

  private func check(_ value: Value, _ input: Input, _ symbols: inout SymbolSolution) throws(ModelFormatError) {
    switch input.kind {
    case .tensor(let wanted):
      guard let tensor = value.reference else {
        throw ModelFormatError(.invalidArgument, "needs a tensor, got \(value)")
      }
      guard wanted.type == .dtype(tensor.dtype) else {
        throw ModelFormatError(.invalidArgument, "needs \(wanted), got \(tensor.dtype)")
      }
      guard wanted.sizes.count == tensor.rank else {
        throw ModelFormatError(.invalidArgument, "needs \(wanted), got sizes \(tensor.sizes)")
      }
      for (dimension, (wanted, size)) in zip(wanted.sizes, tensor.shape).enumerated() {
        try symbols.require(wanted, size, "size \(dimension) of input '\(input.name)'")
      }
    case .number(let wanted):
      guard value.scalar != nil else { throw ModelFormatError(.invalidArgument, "needs a number, got \(value)") }
      if let wanted, case .int(let number) = value {
        try symbols.require(wanted, number.value, "input '\(input.name)'")
      }
    case .constant(let argument):
      guard let wanted = argument.constantValue, wanted.isEqual(to: value) else {
        throw ModelFormatError(
          .invalidArgument,
          "the program was exported for \(argument.constantValue.map { "\($0)" } ?? "another value"), got \(value)")
      }
    }
  }

  private func check(_ range: ExportedProgram.Range, _ symbols: [String: Int]) throws(ModelFormatError) {
    // Symbols that only running the program tells are checked where it asserts them.
    guard let value = try? range.expression.number(symbols).doubleValue else { return }
    guard value >= range.minimum ?? -.infinity, value <= range.maximum ?? .infinity else {
      throw ModelFormatError(
        .invalidArgument,
        "'\(range.text)' is \(Int(value)), outside of \(range.minimum.map { "\(Int($0))" } ?? "-∞")…"
          + "\(range.maximum.map { "\(Int($0))" } ?? "∞"), which the program was exported for")
    }
  }

  private func checkGuards(_ values: [Value], _ symbols: [String: Int]) throws(ModelFormatError) {
    guard !guards.isEmpty, let tree, tree.leafCount == values.count else { return }
    var leaves = values[...]
    guard case .tuple(let parts) = tree.unflatten(&leaves), parts.count == 2, let positional = parts[0].elements,
      case .dictionary(let keywords) = parts[1]
    else { return }
    var arguments = keywords
    for (name, value) in zip(argumentNames, positional) { arguments.append(.init(key: name, value: value)) }
    let all = GuardedArguments(.dictionary(arguments))
    for (expression, text) in guards {
      let truth = try? expression.number { name throws(PythonError) in
        if name == "L" { return .value(all) }
        guard let value = symbols[name] else { throw PythonError("'\(name)' is not known") }
        return .number(.int(value))
      }
      if let truth, !truth.isTrue {
        throw ModelFormatError(.invalidArgument, "the inputs do not meet what the program was exported for: \(text)")
      }
    }
  }
}

/// Arguments as guards see them.
private struct GuardedArguments: PythonValue {
  private let value: Value

  init(_ value: Value) { self.value = value }

  func part(_ key: String) -> PythonExpression.Result? {
    guard case .dictionary(let entries) = value, let entry = entries.first(where: { $0.key == key }) else { return nil }
    return Self.result(entry.value)
  }

  func part(_ position: Int) -> PythonExpression.Result? {
    guard let elements = value.elements, elements.indices.contains(position) else { return nil }
    return Self.result(elements[position])
  }

  private static func result(_ value: Value) -> PythonExpression.Result {
    switch value {
    case .bool(let value): .number(.bool(value))
    case .int(let value): .number(.int(value.value))
    case .double(let value): .number(.double(value))
    default: .value(GuardedArguments(value))
    }
  }

  func sizes(_ method: String) -> PythonExpression.Result? {
    guard let tensor = value.reference else { return nil }
    switch method {
    case "size": return .sizes(tensor.shape)
    case "stride": return .sizes(tensor.strides.values)
    case "storage_offset": return .number(.int(tensor.layout.offset.value))
    case "dim": return .number(.int(tensor.rank))
    default: return nil
    }
  }
}

extension ProgramArgument {
  /// The value, of an argument that refers to nothing.
  fileprivate var constantValue: Value? {
    switch self {
    case .none: return Value.none
    case .bool(let value): return .bool(value)
    case .int(let value): return SymInt.concreteRange.contains(value) ? .int(SymInt(value)) : nil
    case .double(let value): return .double(value)
    case .string(let value): return .string(value)
    case .dtype(.dtype(let dtype)): return .dtype(dtype)
    case .list(let parts):
      let values = parts.compactMap(\.constantValue)
      return values.count == parts.count ? .list(values) : nil
    default: return nil
    }
  }
}

extension Value {
  /// Whether two constants are the same. Numbers are by what they are, so that `3` is `3.0`.
  fileprivate func isEqual(to other: Value) -> Bool {
    let (a, b) = (map { _ in Constant.none }, other.map { _ in Constant.none })
    if a == b { return true }
    guard let x = a.scalar, let y = b.scalar else { return false }
    return x.doubleValue == y.doubleValue
  }
}
