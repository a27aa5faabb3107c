import AOTAutograd
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// One run of a recorded program, by the operators of this library.
struct ProgramRun {
  private var tensors: [ProgramReference: Value]
  private var literals: [TensorLiteral] = []

  /// - Parameter known: What the program may refer to besides its own values.
  init(knowing known: [ProgramReference: Value]) { tensors = known }

  /// Runs every step.
  ///
  /// - Returns: What the program returns.
  mutating func run(_ program: RecordedProgram) throws -> [Value] {
    literals = program.constants
    for step in program.steps { try run(step) }
    return try program.outputs.map { output in
      switch output {
      case .none: .none
      case .reference(let reference): try value(reference)
      case .constant(let constant): try constant.value.map { try value($0) }
      }
    }
  }

  /// What a reference stands for. A literal is a new tensor in each run.
  mutating func value(_ reference: ProgramReference) throws -> Value {
    if let known = tensors[reference] { return known }
    guard reference.space == .constant, literals.indices.contains(reference.index) else {
      throw FactsError("the program has no \(reference.space.rawValue) \(reference.index)")
    }
    let constant = Value.reference(try literals[reference.index].tensor())
    tensors[reference] = constant
    return constant
  }

  mutating func tensor(_ reference: ProgramReference) throws -> Tensor {
    guard let tensor = try value(reference).reference else {
      throw FactsError("\(reference.space.rawValue) \(reference.index) is no tensor")
    }
    return tensor
  }

  private mutating func run(_ step: ProgramStep) throws {
    switch step {
    case .call(let call): try run(call)
    case .setGradEnabled(let isEnabled): setGradEnabled(isEnabled)
    case .requireGrad(let reference): try tensor(reference).setRequiresGrad(true)
    case .beginRegion(let tag): DispatchContext.current.recomputeRegions.push(tag)
    case .endRegion: DispatchContext.current.recomputeRegions.pop()
    case .gradients(let step): try run(step)
    case .customFunction(let step): try run(step)
    }
  }

  private mutating func run(_ step: OperatorStep) throws {
    guard let target = OperatorName(step.name).flatMap(OperatorLibrary.table.lookup) as? OperatorDefinition else {
      throw FactsError("the library has no operator \(step.name)")
    }
    var arguments: [(name: String, value: Value)] = []
    for argument in step.arguments {
      arguments.append((argument.name, try argument.value.map { try value($0) }))
    }
    let result = try target.evaluate(target.schema.bind([], keywords: arguments))
    record(step.givesSeveral ? result.results : [result], as: step.results)
  }

  private mutating func run(_ step: GradientStep) throws {
    let outputs = try step.outputs.map { try tensor($0) }
    let inputs = try step.inputs.map { try tensor($0) }
    let gradients = try step.gradients?.map { try $0.map { try tensor($0) } }
    let results = try grad(of: outputs, with: inputs, gradients: gradients, createGraph: step.createsGraph)
    for (reference, result) in zip(step.results, results) {
      if let reference, let result { tensors[reference] = .reference(result) }
    }
  }

  private mutating func run(_ step: FunctionStep) throws {
    let arguments = try step.arguments.map { argument in try argument.value.map { try value($0) } }
    let function = RecordedFunction(step: step, arguments: arguments)
    record(try function.apply(arguments.compactMap(\.reference)).map { .reference($0) }, as: step.results)
  }

  private mutating func record(_ results: [Value], as references: [ProgramReference]) {
    for (reference, result) in zip(references, results) { tensors[reference] = result }
  }
}

extension [ProgramReference: Value] {
  /// Names values of one space by their positions.
  mutating func name(_ values: [Value], _ space: ProgramReference.Space) {
    for (index, value) in values.enumerated() { self[ProgramReference(space, index)] = value }
  }
}

/// A recorded function with a gradient of its own.
private struct RecordedFunction: DifferentiableFunction {
  let step: FunctionStep
  /// Those that are no tensors included.
  let arguments: [Value]

  func forward(_ inputs: [Tensor], _ context: FunctionContext) throws -> [Tensor] {
    var known: [ProgramReference: Value] = [:]
    var next = inputs.makeIterator()
    known.name(arguments.map { $0.reference == nil ? $0 : next.next().map { .reference($0) } ?? $0 }, .argument)
    var run = ProgramRun(knowing: known)
    let outputs = try run.run(step.forward).compactMap(\.reference)
    for reference in step.forward.saved { context.save(try run.tensor(reference)) }
    for index in step.nonDifferentiable { context.markNotDifferentiable(outputs[index]) }
    return outputs
  }

  func backward(_ gradients: [Tensor?], _ context: FunctionContext) throws -> [Tensor?] {
    var known: [ProgramReference: Value] = [:]
    known.name(try context.savedTensors().map { .reference($0) }, .saved)
    known.name(gradients.map { $0.map { .reference($0) } ?? .none }, .gradient)
    var run = ProgramRun(knowing: known)
    let results = try run.run(step.backward)
    return zip(arguments, results).compactMap { argument, result in
      argument.reference == nil ? nil : .some(result.reference)
    }
  }
}
