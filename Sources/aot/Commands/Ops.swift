import AOTAutograd

/// `aot ops`
enum Ops {
  static let filter = Option("filter", .optionalText("NAME"), default: nil, "only operators whose name contains this")
  static let missing = Option.flag("missing-derivative", "only operators that lack a derivative")
  static let json = Option.flag("json", "print each operator as a line of JSON")

  static let command = Command.action(
    "ops", "Lists the operators",
    discussion: """
      Tells of each its traits, whether it has a derivative, what decomposing it leads to (operators of the core ATen set, or
      primitives beyond that), how it is computed, and its schema.
      """,
    options: [filter.parameter, missing.parameter, json.parameter]
  ) { arguments, console in
    let facts = OperatorLibrary.all.map(OperatorDescription.init).filter { facts in
      (arguments[filter].map(facts.name.contains) ?? true) && (!arguments[missing] || facts.derivative == .missing)
    }.sorted { $0.name < $1.name }
    if arguments[json] {
      for fact in facts { console.print(fact.json) }
    } else {
      var table = Table(["operator", "derivative", "decomposition", "lowering", "traits", "schema"], isText: true)
      for fact in facts { table.add(fact.row) }
      console.print(table.text)
    }
  }
}

/// What can be said of an operator in a few words.
struct OperatorDescription {
  enum Derivative: String { case yes, none, missing }
  enum Decomposition: String { case core, primitive, none }

  let name: String
  let schema: String
  let traits: [String]
  let derivative: Derivative
  let decomposition: Decomposition
  let lowering: String

  init(_ definition: OperatorDefinition) {
    name = definition.name.description
    schema = definition.schema.description
    traits = Self.traits(of: definition)
    lowering = Self.lowering(of: definition)
    if definition.decomposition == nil {
      decomposition = .none
    } else {
      decomposition = definition.traits.contains(.core) ? .primitive : .core
    }
    derivative = Self.derivative(of: definition)
  }

  private static func derivative(of definition: OperatorDefinition) -> Derivative {
    // What a composite calls has derivatives.
    if case .composite = definition.implementation { return .yes }
    if let formulas = definition.derivative { return formulas.isEmpty ? .none : .yes }
    let takesTensors = definition.schema.parameters.contains { "\($0.type)".contains("ensor") }
    return takesTensors ? .missing : .none
  }

  private static func traits(of definition: OperatorDefinition) -> [String] {
    let named: [(OperatorTraits, String)] = [
      (.core, "core"), (.pointwise, "pointwise"), (.reduction, "reduction"), (.computeBound, "compute-bound"),
      (.random, "random"), (.factory, "factory"), (.dataDependent, "data-dependent"), (.effectful, "effectful"),
    ]
    let declared = named.filter { definition.traits.contains($0.0) }.map(\.1)
    return declared + (definition.schema.isView ? ["view"] : []) + (definition.mutates ? ["in-place"] : [])
  }

  private static func lowering(of definition: OperatorDefinition) -> String {
    switch definition.implementation {
    case .kernel: definition.isLoweredByDecomposition ? "decomposed" : "loops"
    case .host: "host"
    case .view: "view"
    case .copy: "copy of a view"
    case .inPlace(let functional): "in place of \(functional.name)"
    case .mutating: "host, writing"
    case .setStorage: "of another tensor's memory"
    case .composite: "composite"
    }
  }

  var row: [String] {
    [name, derivative.rawValue, decomposition.rawValue, lowering, traits.joined(separator: ", "), schema]
  }

  var json: String {
    var line = JSONLine()
    for (member, value) in zip(["name", "derivative", "decomposition", "lowering"], row) { line.add(member, value) }
    line.add("traits", traits)
    line.add("schema", schema)
    return line.text
  }
}
