import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// A straight-line program over tensors, as data: it can be run, printed as Swift, and made smaller.
struct TensorProgram: Sendable {
  /// What a value is called. A step that is left out leaves the names of the others alone.
  typealias Name = Int

  var parameters: [Name]
  var steps: [Step] = []
  /// nil returns no tensor.
  var results: [Name?] = []

  struct Step: Sendable {
    var action: Action
    /// The grad mode that the step is taken in; nil where that is the mode around it.
    var isGradEnabled: Bool?
    /// One per tensor that the action gives; nil for one that has a name, such as what an operator wrote to.
    var results: [Name?]
  }

  enum Action: Sendable {
    /// Makes a tensor of given elements.
    case literal(ProgramLiteral)
    case call(OperatorDefinition, [Argument<Name>])
    /// Makes a leaf of a tensor that has no history.
    case requireGrad(Name)
    /// Switches grad mode until it is switched again or the program is over.
    case gradMode(Bool)

    /// The values that it uses.
    var uses: [Name] {
      switch self {
      case .call(_, let arguments): arguments.flatMap(\.references)
      case .requireGrad(let name): [name]
      case .literal, .gradMode: []
      }
    }
  }

  /// Where values are, by name.
  typealias Values = [Name: Tensor]

  /// Takes all steps.
  func values(of arguments: [Tensor]) throws -> Values {
    var values = Dictionary(uniqueKeysWithValues: zip(parameters, arguments))
    for step in steps { try step.take(&values) }
    return values
  }

  func results(in values: Values) throws -> [Tensor?] {
    try results.map { name in try name.map { try values.tensor($0) } }
  }

  func callAsFunction(_ arguments: [Tensor]) throws -> [Tensor?] { try results(in: values(of: arguments)) }
}

extension TensorProgram.Step {
  /// - Returns: The tensors that the action gave, those included that get no name.
  @discardableResult
  func take(_ values: inout TensorProgram.Values) throws -> [Tensor] {
    let made: [Tensor]
    if let isGradEnabled {
      made = try isGradEnabled ? enableGrad { try action.perform(values) } : noGrad { try action.perform(values) }
    } else {
      made = try action.perform(values)
    }
    for (name, tensor) in zip(results, made) { if let name { values[name] = tensor } }
    return made
  }
}

extension TensorProgram.Action {
  fileprivate func perform(_ values: TensorProgram.Values) throws -> [Tensor] {
    switch self {
    case .literal(let literal): return [try literal.tensor()]
    case .call(let target, let arguments):
      return try target.evaluate(arguments.map { try $0.map { .reference(try values.tensor($0)) } }).references
    case .requireGrad(let name):
      try values.tensor(name).setRequiresGrad(true)
      return []
    case .gradMode(let isEnabled):
      setGradEnabled(isEnabled)
      return []
    }
  }
}

extension TensorProgram.Values {
  func tensor(_ name: TensorProgram.Name) throws -> Tensor {
    guard let tensor = self[name] else { throw OperatorError(.argument, nil, "the program has no value v\(name)") }
    return tensor
  }
}

/// A dense tensor written out.
struct ProgramLiteral: Sendable {
  var dtype: DType
  var shape: [Int]
  /// Small numbers that every dtype can hold, as far as it has fractions and signs.
  var elements: [Double]
  var requiresGrad = false

  func tensor() throws -> Tensor {
    let tensor: Tensor =
      switch dtype {
      case .bool: try Tensor(elements.map { $0 != 0 }, shape: shape)
      case .uint8: try Tensor(elements.map { UInt8($0) }, shape: shape)
      case .int8: try Tensor(elements.map { Int8($0) }, shape: shape)
      case .int16: try Tensor(elements.map { Int16($0) }, shape: shape)
      case .int32: try Tensor(elements.map { Int32($0) }, shape: shape)
      case .int64: try Tensor(elements.map { Int64($0) }, shape: shape)
      case .float16: try Tensor(elements.map { Half(Float($0)) }, shape: shape)
      case .bfloat16: try Tensor(elements.map { BFloat16(Float($0)) }, shape: shape)
      case .float32: try Tensor(elements.map { Float($0) }, shape: shape)
      case .float64: try Tensor(elements, shape: shape)
      }
    return requiresGrad ? try tensor.requiringGrad() : tensor
  }
}
