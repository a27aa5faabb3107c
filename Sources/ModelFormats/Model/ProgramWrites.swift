import GraphIR
import Operators
import TensorCore

/// What a functional program's caller has to write: outputs that are the new values of buffers, parameters and inputs.
struct ProgramWrites {
  /// What each output is written to; nil for a result.
  private let targets: [Target?]

  private enum Target {
    case attribute(String)
    case input(Int)
  }

  init(_ program: ExportedProgram) throws(ModelFormatError) {
    var positions: [String: Int] = [:]
    var position = 0
    for (argument, spec) in zip(program.graph.inputs, program.inputs) {
      switch spec {
      case .userInput, .constant:
        if case .tensor(let name) = argument { positions[name] = position }
        position += 1
      case .parameter, .buffer, .tensorConstant: continue
      }
    }
    let names = Set(
      program.inputs.compactMap { spec in
        switch spec {
        case .parameter(let name), .buffer(let name): name
        case .tensorConstant, .userInput, .constant: nil
        }
      })
    var targets: [Target?] = []
    for spec in program.outputs {
      switch spec {
      case .bufferMutation(let name), .parameterMutation(let name):
        guard names.contains(name) else {
          throw ModelFormatError(.malformed, "an output is the new value of '\(name)', which is no input")
        }
        targets.append(.attribute(name))
      case .userInputMutation(let name):
        guard let position = positions[name] else {
          throw ModelFormatError(.malformed, "an output is the new value of '\(name)', which is no input")
        }
        targets.append(.input(position))
      case .userOutput, .loss, .gradientOfParameter, .gradientOfUserInput: targets.append(nil)
      }
    }
    self.targets = targets
  }

  var isEmpty: Bool { targets.allSatisfy { $0 == nil } }

  /// Runs a program and writes what it says.
  ///
  /// - Parameter run: Gets copies of all that is written to: what it keeps for the backward pass stays as it was.
  /// - Returns: The results.
  func performing(
    _ inputs: [Value], _ attributes: [String: Tensor], _ run: ([Value], [String: Tensor]) throws -> [Value]
  ) throws -> [Value] {
    if isEmpty { return try run(inputs, attributes) }
    var (copiedInputs, copiedAttributes) = (inputs, attributes)
    for target in targets {
      switch target {
      case .attribute(let name): copiedAttributes[name] = try attributes[name]?.clone()
      case .input(let position):
        if let tensor = inputs[position].reference { copiedInputs[position] = .reference(try tensor.clone()) }
      case nil: continue
      }
    }
    let values = try run(copiedInputs, copiedAttributes)
    var written: [ObjectIdentifier: Tensor] = [:]
    for (value, target) in zip(values, targets) {
      let destination: Tensor? =
        switch target {
        case .attribute(let name): attributes[name]
        case .input(let position): inputs[position].reference
        case nil: nil
        }
      guard let destination, let value = value.reference else { continue }
      _ = try destination.copy_(value)
      written[ObjectIdentifier(value)] = destination
    }
    // Whoever gets a new value as a result, too, gets what it was written to.
    return zip(values, targets).filter { $0.1 == nil }.map { value, _ in
      value.reference.flatMap { written[ObjectIdentifier($0)] }.map { .reference($0) } ?? value
    }
  }
}
