import GraphIR
import TensorCore

/// How gradients flow to some of an operator's parameters.
public struct DerivativeFormula: Sendable {
  /// Positions of the parameters it gives gradients for.
  public let parameters: [Int]
  /// Positions of the arguments whose elements it reads.
  public let savedArguments: [Int]
  /// Positions of the results whose elements it reads.
  public let savedResults: [Int]
  // The same, as autograd reads them at each call.
  package let parameterSet: PositionSet
  package let savedArgumentSet: PositionSet
  package let savedResultSet: PositionSet
  let formula: @Sendable (DerivativeContext) throws -> [Value]

  /// - Precondition: Every name is a parameter's or, among `saved`, a result's.
  init(
    _ schema: OperatorSchema, of parameters: [String], saving saved: [String],
    _ formula: @escaping @Sendable (DerivativeContext) throws -> [Value]
  ) {
    func position(_ name: String) -> Int {
      guard let position = schema.index(of: name) else {
        preconditionFailure("\(schema.name) has no parameter '\(name)'")
      }
      return position
    }
    let results = saved.filter { $0.hasPrefix("result") }
    self.parameters = parameters.map(position)
    self.savedArguments = saved.filter { !$0.hasPrefix("result") }.map(position)
    self.savedResults = results.map { Int($0.dropFirst("result".count)) ?? 0 }
    self.parameterSet = PositionSet(self.parameters)
    self.savedArgumentSet = PositionSet(savedArguments)
    self.savedResultSet = PositionSet(savedResults)
    self.formula = formula
  }
}

/// What a derivative formula sees of the call it differentiates.
///
/// Tensors that the formula did not ask to save are fake stand-ins: metadata without elements.
public struct DerivativeContext {
  public let call: OperatorCall
  public let results: [Tensor]
  /// The gradient of each result; nil where none arrived.
  public let gradients: [Tensor?]
  /// Positions of the arguments that a gradient is wanted for.
  public let needed: Set<Int>

  public init(call: OperatorCall, results: [Tensor], gradients: [Tensor?], needed: Set<Int>) {
    self.call = call
    self.results = results
    self.gradients = gradients
    self.needed = needed
  }

  /// The gradient of the first result that has one.
  ///
  /// - Precondition: A formula runs only when one is there.
  public var gradient: Tensor { gradients.lazy.compactMap(\.self).first! }
  public var result: Tensor { results[0] }

  /// The argument of that name: a tensor or, where the caller passed one, a number.
  ///
  /// - Precondition: The operator has such a parameter.
  public subscript(parameter: String) -> Value { call.arguments[position(parameter)] }

  /// The tensor argument of that name.
  public func tensor(_ parameter: String) throws -> Tensor { try call.tensor(position(parameter)) }
  public func optionalTensor(_ parameter: String) throws -> Tensor? { try call.optionalTensor(position(parameter)) }
  public func sizes(_ parameter: String) throws -> [SymInt] { try tensor(parameter).sizes }
  public func isNeeded(_ parameter: String) -> Bool { needed.contains(position(parameter)) }

  private func position(_ parameter: String) -> Int {
    guard let position = call.target.schema.index(of: parameter) else {
      preconditionFailure("\(call.target.name) has no parameter '\(parameter)'")
    }
    return position
  }
}

extension OperatorDefinition {
  /// The gradients with respect to the needed arguments, by position; each has its argument's size and dtype.
  ///
  /// Eager autograd runs this on tensors, joint tracing on fake ones: there is one derivative.
  ///
  /// - Throws: `OperatorError` with code `notDifferentiable` where no derivative is defined.
  public func gradients(_ context: DerivativeContext) throws -> [Int: Value] {
    guard let derivative else {
      throw OperatorError(.notDifferentiable, name, "has no derivative")
    }
    var result: [Int: Value] = [:]
    for formula in derivative where !context.needed.isDisjoint(with: formula.parameters) {
      let gradients = try formula.formula(context)
      try refuseStandIns(gradients, context)
      for (position, gradient) in zip(formula.parameters, gradients) where context.needed.contains(position) {
        result[position] = try Self.fitted(gradient, to: context.call.arguments[position])
      }
    }
    return result
  }

  /// - Throws: `OperatorError` where a formula computed with the elements of something that it does not save.
  private func refuseStandIns(_ gradients: [Value], _ context: DerivativeContext) throws {
    guard gradients.contains(where: { $0.references.contains(where: \.isFake) }),
      context.gradients.allSatisfy({ $0?.isFake != true })
    else { return }
    throw OperatorError(
      .notDifferentiable, name,
      "the derivative reads elements that it does not name in `saving`: the definition is wrong")
  }

  private static func fitted(_ gradient: Value, to argument: Value) throws -> Value {
    switch (gradient, argument) {
    case (.reference(let gradient), .reference(let argument)):
      if gradient.sizes == argument.sizes && gradient.dtype == argument.dtype { return .reference(gradient) }
      return .reference(try gradient.summed(to: argument.sizes).converted(to: argument.dtype))
    case (.list(let gradients), .list(let arguments)), (.tuple(let gradients), .list(let arguments)):
      return .list(try zip(gradients, arguments).map { try fitted($0, to: $1) })
    default: return .none
    }
  }
}
