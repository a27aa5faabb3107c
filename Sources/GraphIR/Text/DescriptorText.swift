extension Descriptor: CustomStringConvertible {
  /// `tangent(of: output(0))`.
  public var description: String {
    switch self {
    case .input(let index): "input(\(index))"
    case .closedOver(let index): "closedOver(\(index))"
    case .tangent(let output): "tangent(of: \(output))"
    case .syntheticBase(let views): "syntheticBase(of: [\(views.map(\.description).joined(separator: ", "))])"
    case .token(let index): "token(\(index))"
    case .randomKey: "randomKey"
    case .randomCounter: "randomCounter"
    case .output(let index): "output(\(index))"
    case .mutated(let input): "mutated(\(input))"
    case .intermediateBase(let index): "intermediateBase(\(index))"
    case .gradient(let input): "gradient(of: \(input))"
    case .saved(let index): "saved(\(index))"
    case .inner(let name, let outer): "inner(\(name), of: \(outer))"
    }
  }
}

extension TextScanner {
  mutating func descriptor() throws(GraphError) -> Descriptor {
    skipSpace()
    let start = position
    let word = try identifier("a descriptor")
    switch word {
    case "input": return .input(try parenthesizedIndex())
    case "closedOver": return .closedOver(try parenthesizedIndex())
    case "token": return .token(try parenthesizedIndex())
    case "randomKey": return .randomKey
    case "randomCounter": return .randomCounter
    case "output": return .output(try parenthesizedIndex())
    case "intermediateBase": return .intermediateBase(try parenthesizedIndex())
    case "saved": return .saved(try parenthesizedIndex())
    case "mutated": return .mutated(try parenthesizedDescriptor(label: nil))
    case "tangent": return .tangent(of: try parenthesizedDescriptor(label: "of"))
    case "gradient": return .gradient(of: try parenthesizedDescriptor(label: "of"))
    case "inner":
      try expect("(")
      let name = try identifier("an inner tensor's name")
      try expect(",")
      return .inner(String(name), of: try closedDescriptor("of"))
    case "syntheticBase":
      var views: [Descriptor] = []
      try expectLabel("of")
      try expect("[")
      try list(until: "]") { scanner throws(GraphError) in views.append(try scanner.descriptor()) }
      try expect(")")
      return .syntheticBase(of: views)
    default: throw failure("'\(word)' is not a descriptor such as input(0)", at: start)
    }
  }

  private mutating func expectLabel(_ label: StaticString) throws(GraphError) {
    try expect("(")
    try expectWord(label)
  }

  private mutating func expectWord(_ label: StaticString) throws(GraphError) {
    guard takeWord(label) else { throw failure(expected: "'\(label):'") }
    try expect(":")
  }

  private mutating func parenthesizedIndex() throws(GraphError) -> Int {
    try expect("(")
    let index = try integer("a position")
    try expect(")")
    return index
  }

  private mutating func parenthesizedDescriptor(label: StaticString?) throws(GraphError) -> Descriptor {
    try expect("(")
    return try closedDescriptor(label)
  }

  /// The last descriptor in parentheses that are open.
  private mutating func closedDescriptor(_ label: StaticString?) throws(GraphError) -> Descriptor {
    if let label { try expectWord(label) }
    let descriptor = try nested { scanner throws(GraphError) in try scanner.descriptor() }
    try expect(")")
    return descriptor
  }
}
