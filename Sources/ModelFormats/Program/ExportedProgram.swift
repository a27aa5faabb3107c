import GraphIR

/// A program as `torch.export` writes it: a graph, what its inputs and outputs are, and what it relies on.
struct ExportedProgram {
  let graph: ProgramGraph
  /// What each of the graph's inputs is.
  let inputs: [InputSpec]
  /// What each of the graph's outputs is.
  let outputs: [OutputSpec]
  let ranges: [Range]
  /// Conditions on the inputs, in Python.
  let guards: [String]
  let inputTree: TreeSpec?
  let outputTree: TreeSpec?
  /// The names of the arguments by position.
  let argumentNames: [String]

  enum InputSpec {
    case parameter(String)
    case buffer(String)
    case tensorConstant(String)
    case userInput
    /// An input that has to be this.
    case constant(name: String, ProgramArgument)
  }

  enum OutputSpec {
    case userOutput
    case loss
    case bufferMutation(String)
    case parameterMutation(String)
    /// By the name of the input's value.
    case userInputMutation(String)
    case gradientOfParameter(String)
    case gradientOfUserInput(String)
  }

  /// What the value of an expression over sizes lies between; nil where it has no bound.
  struct Range {
    let expression: PythonExpression
    let text: String
    let minimum: Double?
    let maximum: Double?
  }

  /// The major version of the schema that is read here. Minor versions add what may be ignored.
  static let schemaVersion = 8

  init(_ json: JSONValue) throws(ModelFormatError) {
    let version = try json.required("schema_version").required("major").int("major")
    guard version == Self.schemaVersion else {
      throw ModelFormatError(
        .unsupported, "the program is of schema \(version); this package reads \(Self.schemaVersion)")
    }
    let module = try json.required("graph_module")
    graph = try ProgramGraph(module.required("graph"))
    let signature = try module.required("signature")
    inputs = try signature.required("input_specs").map("input_specs") { json throws(ModelFormatError) in
      try Self.inputSpec(json)
    }
    outputs = try signature.required("output_specs").map("output_specs") { json throws(ModelFormatError) in
      try Self.outputSpec(json)
    }
    guard inputs.count == graph.inputs.count, outputs.count == graph.outputs.count else {
      throw ModelFormatError(
        .malformed,
        "the signature has \(inputs.count) inputs and \(outputs.count) outputs, the graph \(graph.inputs.count) and "
          + "\(graph.outputs.count)")
    }
    var ranges: [Range] = []
    for (text, bounds) in try json.optional("range_constraints")?.members("range_constraints") ?? [] {
      ranges.append(try Self.range(text, bounds))
    }
    self.ranges = ranges
    guards =
      try json.optional("guards_code")?.map("guards_code") { json throws(ModelFormatError) in
        try json.string("guard")
      } ?? []
    let call = try Self.callSignature(module)
    inputTree = try call?.optional("in_spec").map { json throws(ModelFormatError) in
      try TreeSpec(parsing: json.string("in_spec"))
    }
    outputTree = try call?.optional("out_spec").map { json throws(ModelFormatError) in
      try TreeSpec(parsing: json.string("out_spec"))
    }
    argumentNames =
      try call?.optional("forward_arg_names")?.map("forward_arg_names") {
        json throws(ModelFormatError) in try json.string("name")
      } ?? []
  }

  /// The signature of the outermost module.
  private static func callSignature(_ module: JSONValue) throws(ModelFormatError) -> JSONValue? {
    for entry in try module.optional("module_call_graph")?.array("module_call_graph") ?? [] {
      if case .string("")? = entry["fqn"] { return entry.optional("signature") }
    }
    return nil
  }

  private static func range(_ text: String, _ bounds: JSONValue) throws(ModelFormatError) -> Range {
    do {
      let expression = try PythonExpression(parsing: text)
      return Range(
        expression: expression, text: text, minimum: try bounds.optional("min_val")?.double("min_val"),
        maximum: try bounds.optional("max_val")?.double("max_val"))
    } catch let error as PythonError {
      throw ModelFormatError(.malformed, "the range of '\(text)' cannot be read: \(error)")
    } catch let error as ModelFormatError {
      throw error
    } catch {
      throw ModelFormatError(.malformed, "the range of '\(text)' cannot be read: \(error)")
    }
  }

  private static func inputSpec(_ json: JSONValue) throws(ModelFormatError) -> InputSpec {
    let (kind, value) = try json.union("input spec")
    func name(_ key: String) throws(ModelFormatError) -> String { try value.required(key).string(key) }
    switch kind {
    case "parameter": return .parameter(try name("parameter_name"))
    case "buffer": return .buffer(try name("buffer_name"))
    case "tensor_constant": return .tensorConstant(try name("tensor_constant_name"))
    case "user_input": return .userInput
    case "constant_input":
      return .constant(name: try name("name"), try ProgramArgument(value.required("value")))
    default: throw ModelFormatError(.unsupported, "an input of kind '\(kind)' is not supported")
    }
  }

  private static func outputSpec(_ json: JSONValue) throws(ModelFormatError) -> OutputSpec {
    let (kind, value) = try json.union("output spec")
    func name(_ key: String) throws(ModelFormatError) -> String { try value.required(key).string(key) }
    switch kind {
    case "user_output": return .userOutput
    case "loss_output": return .loss
    case "buffer_mutation": return .bufferMutation(try name("buffer_name"))
    case "parameter_mutation": return .parameterMutation(try name("parameter_name"))
    case "user_input_mutation": return .userInputMutation(try name("user_input_name"))
    case "gradient_to_parameter": return .gradientOfParameter(try name("parameter_name"))
    case "gradient_to_user_input": return .gradientOfUserInput(try name("user_input_name"))
    default: throw ModelFormatError(.unsupported, "an output of kind '\(kind)' is not supported")
    }
  }
}
