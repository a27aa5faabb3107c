import Foundation
import TensorCore

/// A recorded function, calls of it, and what the user does with their results; see the format's description beside the
/// facts.
struct Scenario: Decodable, Sendable {
  let name: String
  let family: String
  let program: RecordedProgram
  let postPrograms: [RecordedProgram]
  let calls: [Call]
  let tolerance: RecordedTolerance?
  /// Whether results are the same at every run: false for random ones.
  let isDeterministic: Bool
  let savedTensorHooks: Hooks?
  /// What is said about freedom that a replay has.
  let notes: String?

  private enum CodingKeys: String, CodingKey {
    case name, family, program, calls, tolerance, notes
    case postPrograms = "post_programs"
    case isDeterministic = "values_comparable"
    case savedTensorHooks = "saved_tensor_hooks"
  }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: CodingKeys.self)
    name = try object.decode(String.self, forKey: .name)
    family = try object.decode(String.self, forKey: .family)
    program = try object.decode(RecordedProgram.self, forKey: .program)
    postPrograms = try object.decodeIfPresent([RecordedProgram].self, forKey: .postPrograms) ?? []
    calls = try object.decode([Call].self, forKey: .calls)
    tolerance = try object.decodeIfPresent(RecordedTolerance.self, forKey: .tolerance)
    isDeterministic = try object.decodeIfPresent(Bool.self, forKey: .isDeterministic) ?? true
    savedTensorHooks = try object.decodeIfPresent(Hooks.self, forKey: .savedTensorHooks)
    notes = try object.decodeIfPresent(String.self, forKey: .notes)
  }

  struct RecordedTolerance: Decodable, Sendable {
    let rtol: Double
    let atol: Double
  }

  struct Hooks: Decodable, Sendable {
    let pack: RecordedProgram
    let unpack: RecordedProgram
  }

  /// A call: what it is given, what the user does after it, and what is to come of both.
  struct Call: Decodable, Sendable {
    let storages: [RecordedStorage]
    let leaves: [RecordedLeaf]
    /// Makes inputs of the leaves.
    let setup: RecordedProgram
    let inputs: [Input]
    let steps: [UserStep]
    let expected: Expectation
    /// Whether the inputs are those of the previous call.
    let reusesInputs: Bool

    private enum CodingKeys: String, CodingKey {
      case storages, leaves, setup, inputs, steps
      case expected = "expect"
      case reusesInputs = "reuse_previous_inputs"
    }

    init(from decoder: any Decoder) throws {
      let object = try decoder.container(keyedBy: CodingKeys.self)
      storages = try object.decode([RecordedStorage].self, forKey: .storages)
      leaves = try object.decode([RecordedLeaf].self, forKey: .leaves)
      setup = try object.decode(RecordedProgram.self, forKey: .setup)
      inputs = try object.decode([Input].self, forKey: .inputs)
      steps = try object.decode([UserStep].self, forKey: .steps)
      expected = try object.decode(Expectation.self, forKey: .expected)
      reusesInputs = try object.decodeIfPresent(Bool.self, forKey: .reusesInputs) ?? false
    }
  }

  struct Input: Decodable, Sendable {
    enum Kind: String, Decodable, Sendable { case tensor, int, none }

    let kind: Kind
    let ref: ProgramReference?
    /// The number of the storage that it lies in.
    let storage: Int?
    /// Those of the tensors that a tensor of a subclass holds.
    let innerStorages: [Int]?
    let value: Int?

    private enum CodingKeys: String, CodingKey {
      case kind, ref, storage, value
      case innerStorages = "inner_storages"
    }
  }
}

/// All elements of a storage.
struct RecordedStorage: Decodable, Sendable {
  let dtype: DType
  let elements: [Double]
  /// Whether the replay makes it; otherwise it comes out of the setup.
  let isLeaf: Bool

  private enum CodingKeys: String, CodingKey { case dtype, data, source }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: CodingKeys.self)
    dtype = try object.namedDType(.dtype)
    elements = try object.decode([RecordedNumber].self, forKey: .data).map(\.value)
    isLeaf = try object.decodeIfPresent(String.self, forKey: .source) == "leaf"
  }
}

extension RecordedStorage {
  var literal: TensorLiteral { TensorLiteral(dtype, elements) }
}

/// A tensor over a storage, from which inputs are made; of a subclass, the tensors that it holds.
struct RecordedLeaf: Decodable, Sendable {
  struct View: Decodable, Sendable {
    let layout: Layout
    let storage: Int

    private enum CodingKeys: String, CodingKey { case shape, stride, offset, storage }

    init(from decoder: any Decoder) throws {
      let object = try decoder.container(keyedBy: CodingKeys.self)
      layout = Layout(
        sizes: .init(try object.decode([Int].self, forKey: .shape)),
        strides: .init(try object.decode([Int].self, forKey: .stride)),
        offset: SymInt(try object.decode(Int.self, forKey: .offset)))
      storage = try object.decode(Int.self, forKey: .storage)
    }
  }

  let requiresGrad: Bool
  let views: [View]

  private enum CodingKeys: String, CodingKey {
    case inner
    case requiresGrad = "requires_grad"
  }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: CodingKeys.self)
    requiresGrad = try object.decode(Bool.self, forKey: .requiresGrad)
    views = try object.decodeIfPresent([View].self, forKey: .inner) ?? [View(from: decoder)]
  }
}

/// What the user does after a call, eagerly.
enum UserStep: Decodable, Sendable {
  case backward(BackwardStep)
  /// Runs the program of that number.
  case post(Int)

  private enum CodingKeys: String, CodingKey { case kind, program }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: CodingKeys.self)
    self =
      try object.decode(String.self, forKey: .kind) == "backward"
      ? .backward(BackwardStep(from: decoder)) : .post(object.decode(Int.self, forKey: .program))
  }
}

struct BackwardStep: Decodable, Sendable {
  let roots: [ProgramReference]
  let tangents: [TensorLiteral?]
  let retainsGraph: Bool
  let createsGraph: Bool
  /// Whether the sum of the gradients is differentiated in turn.
  let differentiatesAgain: Bool

  private enum CodingKeys: String, CodingKey {
    case roots, tangents
    case retainsGraph = "retain_graph"
    case createsGraph = "create_graph"
    case differentiatesAgain = "then_grad"
  }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: CodingKeys.self)
    roots = try object.decode([ProgramReference].self, forKey: .roots)
    tangents = try object.decode([TensorLiteral?].self, forKey: .tangents)
    retainsGraph = try object.decodeIfPresent(Bool.self, forKey: .retainsGraph) ?? false
    createsGraph = try object.decodeIfPresent(Bool.self, forKey: .createsGraph) ?? false
    differentiatesAgain = try object.decodeIfPresent(Bool.self, forKey: .differentiatesAgain) ?? false
  }
}
