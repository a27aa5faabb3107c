import EagerAutograd
import Foundation
import GraphIR
import Operators
import TensorCore

/// A program that `torch.export` wrote, with its parameters and buffers as tensors: callable, trainable, inspectable.
///
///     let model = try ImportedModel(contentsOf: url)          // model.pt2
///     let loss = try model([images, labels])[0]
///     try loss.backward()
///     model.parameters[0].tensor.grad
///
/// It does what the exported model does, writes to buffers and inputs included. Calls run each operator eagerly, or as a part of
/// whatever function is being captured; `compiled()` gives the same model, compiled ahead of time.
///
/// Files of schema version 8 are read, which PyTorch 2.5 and later write. Tensors stand on the mapped file without a copy, and
/// what is written to them never reaches it. Reading takes memory of at most 64 times the program's JSON beside the file.
public final class ImportedModel {
  /// The program's name in the archive.
  public let name: String
  /// What is trained, each once, in the order of registration. Those that were exported as frozen require no gradient.
  public let parameters: [NamedTensor]
  /// What is kept between calls, persistent or not.
  public let buffers: [NamedTensor]
  /// Tensors that the program holds besides.
  public let constants: [NamedTensor]
  /// The first name of each parameter that goes by another as well.
  public let tiedNames: [String: String]
  /// The program, with writes and views as PyTorch wrote them, and its tensors by name.
  public let module: GraphModule
  /// What each result is.
  public let outputs: [Output]

  let stateTensors: [Tensor]
  let decisions: Decisions
  private let stateNames: [String: Int]
  private let interpreter: ProgramInterpreter
  private let writes: ProgramWrites
  private let check: InputCheck
  private let inputTree: TreeSpec?
  private let outputTree: TreeSpec?

  /// A tensor and its name in the exported model, such as `encoder.weight`.
  public struct NamedTensor {
    public let name: String
    public let tensor: Tensor
  }

  /// What a result of a program is.
  public enum Output: Hashable, Sendable {
    /// What the exported model returns.
    case result
    /// The loss of a program that computes gradients itself.
    case loss
    case gradientOfParameter(String)
    case gradientOfInput(String)

    /// nil for what is no result, but the new value of something.
    init?(_ spec: ExportedProgram.OutputSpec) {
      switch spec {
      case .userOutput: self = .result
      case .loss: self = .loss
      case .gradientOfParameter(let name): self = .gradientOfParameter(name)
      case .gradientOfUserInput(let name): self = .gradientOfInput(name)
      case .bufferMutation, .parameterMutation, .userInputMutation: return nil
      }
    }
  }

  /// The operators that programs may be made of, for the text form of their graphs.
  public static let operators: any OperatorTable = ProgramOperators(tensors: OperatorLibrary.table)

  /// Opens an archive.
  ///
  /// - Parameters:
  ///   - program: Which of its programs; the one there is, or the one named `model`, without a name.
  ///   - operators: Where operators on tensors are looked up: `OperatorLibrary.table(including:)` adds some of one's own.
  /// - Throws: `ModelFormatError` naming the member of the archive, the node and the argument: `inputOutput` where the system
  ///   refuses, `malformed` where the file is damaged, `unsupported` for what this package does not have.
  public convenience init(
    contentsOf url: URL, program: String? = nil, operators: any OperatorTable = OperatorLibrary.table
  ) throws {
    try self.init(ByteRegion(contentsOf: url), program: program, operators: operators)
  }

  /// Reads an archive that is in memory; see the other initializer.
  public convenience init(
    _ bytes: [UInt8], program: String? = nil, operators: any OperatorTable = OperatorLibrary.table
  ) throws {
    try self.init(ByteRegion(bytes), program: program, operators: operators)
  }

  private init(_ region: ByteRegion, program: String?, operators: any OperatorTable) throws {
    let archive = try PT2Archive(region)
    let (name, json, member) = try archive.program(named: program)
    self.name = name
    do {
      let program = try ExportedProgram(json)
      let state = try ModelState(program, archive, payloads: archive.payloads(of: name))
      var module = try GraphConstruction(program, ProgramOperators(tensors: operators)).module()
      module.attributes = state.attributes
      check = try InputCheck(program)
      (parameters, buffers, constants) = (state.parameters, state.buffers, state.constants)
      tiedNames = state.tiedNames
      (inputTree, outputTree) = (program.inputTree, program.outputTree)
      self.module = module
      outputs = program.outputs.compactMap(Output.init)
      writes = try ProgramWrites(program)
      decisions = Decisions(module)
      interpreter = ProgramInterpreter(module)
      let tensors = (parameters + buffers + constants).map(\.tensor)
      stateTensors = tensors
      stateNames = state.attributes.compactMapValues { tensor in tensors.firstIndex { $0 === tensor } }
    } catch let error as ModelFormatError {
      throw error.inside(member: member)
    }
  }

  // MARK: - Calling

  /// The names of the inputs, flat: trees come apart in the order of their leaves.
  public var inputNames: [String] { check.names }

  /// What each input has to be, for people: `f32[s17, 16]`, or the value of a constant one.
  public var inputDescriptions: [String] { check.names.indices.map(check.description) }

  /// Inputs such as those that the program was exported with, flat: zeros of their sizes, and the constants.
  public func exampleInputs() throws -> [Value] { try check.names.indices.map(check.example) }

  /// Runs the program on tensors; inputs that are constants need not be given.
  ///
  /// - Parameter tensors: The inputs that are tensors, flat.
  /// - Returns: The results that are tensors, flat.
  /// - Throws: `ModelFormatError` naming the input that is not what the program was exported for, and `ExecutionError` naming the
  ///   node that failed.
  public func callAsFunction(_ tensors: [Tensor]) throws -> [Tensor] {
    try run(inputs(tensors)).compactMap(\.reference)
  }

  /// Runs the program on flat inputs, and gives flat results.
  ///
  /// - Parameter inputs: One per name of `inputNames`, constants included.
  public func run(_ inputs: [Value]) throws -> [Value] { try run(inputs, state: nil, decided: [:]) }

  /// Runs the program with other tensors in the place of parameters, buffers and constants, and with what was found of values
  /// that it makes decisions by.
  ///
  /// - Parameter state: As `stateTensors`, which nil stands for.
  func run(_ inputs: [Value], state: [Tensor]?, decided: [NodeID: Value]) throws -> [Value] {
    try check.check(inputs)
    if state == nil, decided.isEmpty, writes.isEmpty { return try interpreter.run(inputs).elements ?? [] }
    let attributes = stateNames.mapValues { (state ?? stateTensors)[$0] }
    return try writes.performing(inputs, attributes) { inputs, attributes in
      try ProgramInterpreter(module, attributes: attributes, decided: decided).run(inputs).elements ?? []
    }
  }

  /// Runs the program as the exported model is called: arguments and results nest as they did.
  ///
  /// - Parameters:
  ///   - arguments: By position; tuples, lists and dictionaries of tensors and constants.
  ///   - keywords: By name, in any order.
  public func call(_ arguments: [Value], keywords: [String: Value] = [:]) throws -> Value {
    let inputs = try flattened(arguments, keywords)
    return unflattened(try run(inputs))
  }

  /// The flat inputs of a call on tensors: constants stand where the program has them.
  public func inputs(_ tensors: [Tensor]) throws(ModelFormatError) -> [Value] {
    let positions = check.tensorPositions
    guard tensors.count == positions.count else {
      throw ModelFormatError(
        .invalidArgument,
        "the program takes \(positions.count) tensors (\(positions.map { check.names[$0] }.joined(separator: ", "))), "
          + "got \(tensors.count)")
    }
    var next = tensors.makeIterator()
    var values: [Value] = []
    for position in check.names.indices {
      if let constant = check.constant(at: position) {
        values.append(constant)
      } else if positions.contains(position), let tensor = next.next() {
        values.append(.reference(tensor))
      } else {
        throw ModelFormatError(
          .invalidArgument, "is a number that differs from call to call: call run(_:) with it",
          argument: check.names[position])
      }
    }
    return values
  }

  /// The flat inputs of a call with nested arguments.
  func flattened(_ arguments: [Value], _ keywords: [String: Value]) throws(ModelFormatError) -> [Value] {
    guard let inputTree else { return arguments }
    var leaves: [Value] = []
    let entries = keywords.sorted { $0.key < $1.key }.map { Value.DictionaryEntry(key: $0.key, value: $0.value) }
    try inputTree.flatten(.tuple([.tuple(arguments), .dictionary(entries)]), at: "arguments", into: &leaves)
    return leaves
  }

  /// The results, nested as the exported model's are.
  func unflattened(_ results: [Value]) -> Value {
    guard let outputTree, outputTree.leafCount == results.count else { return .tuple(results) }
    var leaves = results[...]
    return outputTree.unflatten(&leaves)
  }
}
