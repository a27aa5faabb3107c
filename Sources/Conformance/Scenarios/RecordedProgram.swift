import GraphIR
import TensorCore

/// A recorded function: steps, and what it returns.
struct RecordedProgram: Decodable, Sendable {
  let steps: [ProgramStep]
  let constants: [TensorLiteral]
  let outputs: [ProgramOutput]
  /// What a custom function keeps for its backward.
  let saved: [ProgramReference]

  private enum CodingKeys: String, CodingKey {
    case ops, consts, outputs, outs, returns, saved
  }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: CodingKeys.self)
    steps = try object.decode([ProgramStep].self, forKey: .ops)
    constants = try object.decodeIfPresent([TensorLiteral].self, forKey: .consts) ?? []
    let key = [CodingKeys.outputs, .outs, .returns].first(where: object.contains)
    outputs = try key.map { try object.decode([ProgramOutput].self, forKey: $0) } ?? []
    saved = try object.decodeIfPresent([ProgramReference].self, forKey: .saved) ?? []
  }
}

/// Something that a program returns: a tensor, nothing, or a number.
enum ProgramOutput: Decodable, Sendable {
  case none
  case reference(ProgramReference)
  case constant(ProgramArgument)

  private enum Key: String, CodingKey { case const }

  init(from decoder: any Decoder) throws {
    if let container = try? decoder.singleValueContainer(), container.decodeNil() {
      self = .none
    } else if let object = try? decoder.container(keyedBy: Key.self), object.contains(.const) {
      self = .constant(try object.decode(ProgramArgument.self, forKey: .const))
    } else {
      self = .reference(try ProgramReference(from: decoder))
    }
  }
}

/// One step of a recorded program.
enum ProgramStep: Decodable, Sendable {
  case call(OperatorStep)
  case setGradEnabled(Bool)
  case requireGrad(ProgramReference)
  case beginRegion(RecomputeTag)
  case endRegion
  case gradients(GradientStep)
  case customFunction(FunctionStep)

  private enum Key: String, CodingKey { case op, enabled, args, policy }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: Key.self)
    switch try object.decode(String.self, forKey: .op) {
    case "set_grad_enabled": self = .setGradEnabled(try object.decode(Bool.self, forKey: .enabled))
    case "requires_grad_":
      let arguments = try object.decode([NamedArgument].self, forKey: .args)
      guard let tensor = arguments.first?.value.reference else { throw FactsError("requires_grad_ of no tensor") }
      self = .requireGrad(tensor)
    case "tag_begin": self = .beginRegion(try object.named(.policy) { RecomputeTag(rawValue: $0) })
    case "tag_end": self = .endRegion
    case "autograd_grad": self = .gradients(try GradientStep(from: decoder))
    case "custom_vjp": self = .customFunction(try FunctionStep(from: decoder))
    default: self = .call(try OperatorStep(from: decoder))
    }
  }
}

/// A pair of a parameter's name and its argument.
struct NamedArgument: Decodable, Sendable {
  let name: String
  let value: Argument<ProgramReference>

  init(from decoder: any Decoder) throws {
    var pair = try decoder.unkeyedContainer()
    name = try pair.decode(String.self)
    value = try pair.decode(ProgramArgument.self).value
  }
}

/// A call of an operator.
struct OperatorStep: Decodable, Sendable {
  let name: String
  let arguments: [NamedArgument]
  let results: [ProgramReference]
  /// Whether the operator gives a list or tuple.
  let givesSeveral: Bool

  private enum CodingKeys: String, CodingKey { case op, args, out, multi }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: CodingKeys.self)
    name = try object.decode(String.self, forKey: .op)
    arguments = try object.decode([NamedArgument].self, forKey: .args)
    // A call that raises has no results.
    results = try object.decodeIfPresent([ProgramReference].self, forKey: .out) ?? []
    givesSeveral = try object.decodeIfPresent(Bool.self, forKey: .multi) ?? false
  }
}

/// Gradients computed inside a program.
struct GradientStep: Decodable, Sendable {
  let outputs: [ProgramReference]
  let inputs: [ProgramReference]
  let gradients: [ProgramReference?]?
  let createsGraph: Bool
  let results: [ProgramReference?]

  private enum CodingKeys: String, CodingKey {
    case outputs, inputs
    case gradients = "grad_outputs"
    case createsGraph = "create_graph"
    case results = "out"
  }
}

/// A call of a function with a gradient of its own.
struct FunctionStep: Decodable, Sendable {
  let arguments: [ProgramArgument]
  let forward: RecordedProgram
  let backward: RecordedProgram
  /// Outputs, by position, that no gradient flows through.
  let nonDifferentiable: [Int]
  let results: [ProgramReference]

  private enum CodingKeys: String, CodingKey {
    case forward, backward
    case arguments = "args"
    case nonDifferentiable = "non_differentiable"
    case results = "out"
  }
}
