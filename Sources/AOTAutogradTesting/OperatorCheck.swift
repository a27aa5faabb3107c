import AOTAutograd
import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// What `opcheck` compares.
public enum OperatorCheck: String, CaseIterable, Sendable {
  /// The call changes what the schema says it writes to and nothing else; results share memory as the schema says.
  case schema
  /// Two calls give the same, unless the operator draws random numbers.
  case determinism
  /// Without elements, the operator gives the metadata that it gives with them.
  case shapeRule
  /// Arguments with other strides and offsets give the same elements.
  case layouts
  /// Gradients agree with finite differences: for float64 tensors that require one.
  case gradients
  /// A compiled function of the call gives what the call gives, gradients included.
  case compiled
  /// A graph with the call in it is read back from its text.
  case text
}

/// What is wrong with an operator's definition.
public struct OperatorCheckError: Error, Hashable, Sendable, CustomStringConvertible {
  public let operatorName: OperatorName
  public let check: OperatorCheck
  public let message: String

  public var description: String { "\(operatorName), \(check.rawValue): \(message)" }
}

/// Checks that an operator does what its definition says, on a call with these arguments.
///
/// ```swift
/// try opcheck(scale, .reference(Tensor([1.0, 2, 3]).requiringGrad()), .double(2))
/// ```
///
/// Call it with arguments of every kind that the operator takes: dtypes, numbers of dimensions, sizes of 0 and 1, optional
/// ones left out.
///
/// - Parameters:
///   - arguments: As in a call of the operator; omitted trailing ones get their defaults. They are copied, and not changed.
///   - checks: All, where nothing is said.
/// - Throws: `OperatorCheckError` for the first check that fails; what the operator throws.
public func opcheck(
  _ target: OperatorDefinition, _ arguments: Value..., checks: [OperatorCheck] = OperatorCheck.allCases
) throws {
  let sample = OperatorSample(target, try target.schema.bind(arguments))
  for check in checks { try sample.run(check) }
}

/// An operator with the arguments of one call.
struct OperatorSample {
  let target: OperatorDefinition
  let arguments: [Value]
  /// The tensors among the arguments, each once.
  let tensors: [Tensor]

  init(_ target: OperatorDefinition, _ arguments: [Value]) {
    self.target = target
    self.arguments = arguments
    var tensors: [Tensor] = []
    for tensor in arguments.flatMap(\.references) where !tensors.contains(where: { $0 === tensor }) {
      tensors.append(tensor)
    }
    self.tensors = tensors
  }

  func run(_ check: OperatorCheck) throws {
    switch check {
    case .schema: try checkSchema()
    case .determinism: try checkDeterminism()
    case .shapeRule: try checkShapeRule()
    case .layouts: try checkLayouts()
    case .gradients: try checkGradients()
    case .compiled: try checkCompiled()
    case .text: try checkText()
    }
  }

  func failure(_ check: OperatorCheck, _ message: String) -> OperatorCheckError {
    OperatorCheckError(operatorName: target.name, check: check, message: message)
  }

  /// The call with other tensors in the place of its own.
  func call(_ replacements: [Tensor]) throws -> Value {
    try target.evaluate(substituted(replacements))
  }

  func substituted(_ replacements: [Tensor]) -> [Value] {
    arguments.map { argument in
      argument.map { tensor in
        .reference(zip(tensors, replacements).first { $0.0 === tensor }?.1 ?? tensor)
      }
    }
  }

  /// Copies to call the operator on: without histories.
  func copies() throws -> [Tensor] { try noGrad { try tensors.map { try $0.copiedWithMemory() } } }

  /// The parameter that a tensor is an argument for.
  func parameter(of tensor: Tensor, among arguments: [Value]) -> OperatorSchema.Parameter? {
    zip(target.schema.parameters, arguments).first { $1.references.contains { $0 === tensor } }?.0
  }
}
