import GraphIR
import Operators
import TensorCore

/// Puts operator calls on the tape.
enum Recorder {
  /// Handles a call that involves a tensor which requires gradients.
  ///
  /// Everything that can be refused is refused before the call is executed.
  static func record(_ call: OperatorCall) throws -> Value {
    let target = call.target
    if target === OperatorLibrary.detach.inPlace { return try endHistory(call) }
    let needed = try neededPositions(call)
    if needed.isEmpty { return try Dispatcher.callBelowAutograd(call) }
    if case .mutating = target.implementation {
      throw AutogradError(
        .notDifferentiable, in: target.name,
        "writes to its arguments and has no derivative; call it inside noGrad { }, or detach what requires a gradient")
    }
    if target.mutates { try InPlaceRules.check(call) }

    var savedArguments = PositionSet()
    var savedResults = PositionSet()
    for formula in target.derivative ?? [] where !formula.parameterSet.isDisjoint(with: needed) {
      savedArguments.formUnion(formula.savedArgumentSet)
      savedResults.formUnion(formula.savedResultSet)
    }
    let function = OperatorGradient(
      target, needed: needed, arguments: try keep(savedArguments, call), nextEdges: try edges(call, needed))
    let value = try Dispatcher.callBelowAutograd(call)
    try attach(function, to: value, of: call)
    if !savedResults.isEmpty { try save(savedResults, of: value, by: function, call) }
    return value
  }

  /// Makes a tensor one that nothing led to.
  private static func endHistory(_ call: OperatorCall) throws -> Value {
    let tensor = try call.tensor(0)
    guard tensor.viewRecord == nil else {
      throw AutogradError(.viewInPlace, in: call.target.name, "cannot end the history of a view; use detach()")
    }
    let value = try Dispatcher.callBelowAutograd(call)
    tensor.autogradState?.history = nil
    tensor.autogradState?.isRequired = false
    return value
  }

  // MARK: - What is needed

  /// The parameters whose gradients are wanted: those that hold a floating-point tensor which requires one.
  ///
  /// - Throws: `AutogradError` with code `notDifferentiable` where such a parameter has no formula though others have.
  private static func neededPositions(_ call: OperatorCall) throws -> PositionSet {
    var needed = PositionSet()
    for position in call.arguments.indices where requiresGrad(call.arguments[position]) {
      if try isNeeded(position, call.target) { needed.insert(position) }
    }
    return needed
  }

  private static func isNeeded(_ position: Int, _ target: OperatorDefinition) throws -> Bool {
    guard let formulas = target.derivative else { return true }
    for formula in formulas where formula.parameterSet.contains(position) { return true }
    if formulas.isEmpty {
      // No gradient flows through the call. Where it overwrites a tensor, the tensor's history has to end with it.
      return target.schema.parameters[position].alias?.isWrite == true
    }
    throw AutogradError(
      .notDifferentiable, in: target.name,
      "is not differentiable with respect to '\(target.schema.parameters[position].name)', which requires a gradient; detach it"
    )
  }

  private static func requiresGrad(_ argument: Value) -> Bool {
    switch argument {
    case .reference(let tensor): tensor.requiresGrad && tensor.dtype.isFloatingPoint
    case .list(let elements), .tuple(let elements): elements.contains(where: requiresGrad)
    default: false
    }
  }

  /// One edge per tensor among the arguments.
  private static func edges(_ call: OperatorCall, _ needed: PositionSet) throws -> [GradientEdge?] {
    var edges: [GradientEdge?] = []
    edges.reserveCapacity(call.arguments.count)
    for position in call.arguments.indices {
      let isNeeded = needed.contains(position)
      try call.arguments[position].forEachReference { edges.append(isNeeded ? try $0.gradientEdge() : nil) }
    }
    return edges
  }

  // MARK: - What is kept

  private static func keep(
    _ saved: PositionSet, _ call: OperatorCall
  ) throws -> [Argument<OperatorGradient.KeptReference>] {
    var kept: [Argument<OperatorGradient.KeptReference>] = []
    kept.reserveCapacity(call.arguments.count)
    for position in call.arguments.indices {
      let isSaved = saved.contains(position)
      kept.append(
        try call.arguments[position].map { tensor in
          guard isSaved else { return .reference(.metadata(TensorMeta(tensor))) }
          return .reference(.saved(try save(tensor, at: position, call.target)))
        })
    }
    return kept
  }

  private static func save(_ tensor: Tensor, at position: Int, _ target: OperatorDefinition) throws -> SavedTensor {
    // A call that overwrites the elements: the formula needs those from before.
    let isWritten = target.mutates && target.schema.parameters[position].alias?.isWrite == true
    let tensor = isWritten ? try tensor.clone() : tensor
    let edge = tensor.requiresGrad ? try tensor.gradientEdge() : nil
    return try SavedTensor(tensor, history: edge.map { .edge($0) } ?? .none, savedBy: target.name)
  }

  private static func save(
    _ kept: PositionSet, of value: Value, by function: OperatorGradient, _ call: OperatorCall
  ) throws {
    let results = value.results
    for (index, result) in results.enumerated() where kept.contains(index) {
      guard let tensor = result.reference else { continue }
      var history = SavedTensor.History.result(index)
      if call.target.mutates {
        history = SavedTensor.history(ofResult: index, writtenTo: tensor)
      } else if !tensor.dtype.isFloatingPoint || call.target.auxiliaryResults.contains(index) {
        history = .none
      }
      function.save(
        try SavedTensor(tensor, history: history, savedBy: call.target.name), at: index, count: results.count)
    }
  }

  // MARK: - What comes of it

  /// Makes a function the history of a call's results.
  private static func attach(_ function: OperatorGradient, to value: Value, of call: OperatorCall) throws {
    if case .reference(let tensor) = value {
      function.inputMetadata = [TensorMeta(tensor)]
      return try attach(function, to: tensor, at: 0, of: call)
    }
    let results = value.results
    function.inputMetadata = results.map { $0.reference.map { TensorMeta($0) } }
    for (index, result) in results.enumerated() {
      if let tensor = result.reference { try attach(function, to: tensor, at: index, of: call) }
    }
  }

  private static func attach(
    _ function: OperatorGradient, to tensor: Tensor, at index: Int, of call: OperatorCall
  ) throws {
    guard tensor.dtype.isFloatingPoint, !call.target.auxiliaryResults.contains(index) else { return }
    let edge = GradientEdge(function, inputIndex: index)
    if call.target.mutates, let slot = call.slot(of: tensor) {
      try InPlaceRules.rebase(tensor, onto: edge, slot: slot, layoutOnly: call.target.mutatesLayoutOnly)
    } else {
      tensor.autogradMeta = AutogradState(history: edge)
    }
  }
}

extension Call where Reference == Tensor {
  /// The number, among the tensors of the call, of one that the call writes to; nil for any other.
  func slot(of tensor: Tensor) -> Int? {
    var slot = 0
    var found: Int?
    for (parameter, argument) in zip(target.schema.parameters, arguments) {
      let isWritten = parameter.alias?.isWrite == true
      argument.forEachReference {
        if isWritten, found == nil, $0 === tensor { found = slot }
        slot += 1
      }
    }
    return found
  }
}
