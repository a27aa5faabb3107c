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
    let needed = try neededPositions(call)
    if needed.isEmpty { return try Dispatcher.callBelowAutograd(call) }
    if target.mutates { try InPlaceRules.check(call) }

    let function = OperatorGradient(
      target, needed: needed, arguments: try keptArguments(call, needed: needed), nextEdges: try edges(call, needed))
    let value = try Dispatcher.callBelowAutograd(call)
    try attach(function, to: value, of: call)
    if let kept = savedResults(target, needed: needed) { try save(kept, of: value, by: function, call) }
    return value
  }

  // MARK: - What is needed

  /// The parameters whose gradients are wanted: those that hold a floating-point tensor which requires one.
  ///
  /// - Throws: `AutogradError` with code `notDifferentiable` where such a parameter has no formula though others have.
  private static func neededPositions(_ call: OperatorCall) throws -> PositionSet {
    var needed = PositionSet()
    let target = call.target
    for (position, argument) in call.arguments.enumerated() where requiresGrad(argument) {
      guard let formulas = target.derivative else {
        needed.insert(position)
        continue
      }
      if formulas.contains(where: { $0.parameters.contains(position) }) {
        needed.insert(position)
      } else if !formulas.isEmpty {
        throw AutogradError(
          .notDifferentiable, in: target.name,
          "is not differentiable with respect to '\(target.schema.parameters[position].name)', which requires a gradient; detach it"
        )
      } else if target.schema.parameters[position].alias?.isWrite == true {
        // No gradient flows through the call; that one flows no longer to what was overwritten has to be recorded.
        needed.insert(position)
      }
    }
    return needed
  }

  private static func requiresGrad(_ argument: Value) -> Bool {
    switch argument {
    case .reference(let tensor): tensor.dtype.isFloatingPoint && tensor.requiresGrad
    case .list(let elements), .tuple(let elements): elements.contains(where: requiresGrad)
    default: false
    }
  }

  /// One edge per tensor among the arguments.
  private static func edges(_ call: OperatorCall, _ needed: PositionSet) throws -> [GradientEdge?] {
    var edges: [GradientEdge?] = []
    edges.reserveCapacity(call.arguments.count)
    for (position, argument) in call.arguments.enumerated() {
      let isNeeded = needed.contains(position)
      try argument.forEachReference { edges.append(isNeeded ? try $0.gradientEdge() : nil) }
    }
    return edges
  }

  // MARK: - What is kept

  private static func keptArguments(
    _ call: OperatorCall, needed: PositionSet
  ) throws -> [Argument<OperatorGradient.KeptReference>] {
    let target = call.target
    var saved = PositionSet()
    for formula in target.derivative ?? [] where formula.parameters.contains(where: needed.contains) {
      for position in formula.savedArguments { saved.insert(position) }
    }
    var kept: [Argument<OperatorGradient.KeptReference>] = []
    kept.reserveCapacity(call.arguments.count)
    for (position, argument) in call.arguments.enumerated() {
      let isSaved = saved.contains(position)
      let isWritten = isSaved && target.schema.parameters[position].alias?.isWrite == true
      kept.append(
        try argument.map { tensor in
          guard isSaved else { return .reference(.metadata(TensorMeta(tensor))) }
          // The call overwrites the elements: the formula needs those from before.
          let tensor = isWritten ? try tensor.clone() : tensor
          let history = try tensor.gradientEdge().map { SavedTensor.History.edge($0) } ?? .none
          return .reference(.saved(try SavedTensor(tensor, history: history, savedBy: target.name)))
        })
    }
    return kept
  }

  /// The results that the formulas read; nil where they read none.
  private static func savedResults(_ target: OperatorDefinition, needed: PositionSet) -> PositionSet? {
    var saved: PositionSet?
    for formula in target.derivative ?? []
    where !formula.savedResults.isEmpty && formula.parameters.contains(where: needed.contains) {
      for index in formula.savedResults { saved = (saved ?? PositionSet()).inserting(index) }
    }
    return saved
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
      } else if !tensor.dtype.isFloatingPoint {
        history = .none
      }
      function.save(
        try SavedTensor(tensor, history: history, savedBy: call.target.name), at: index, count: results.count)
    }
  }

  // MARK: - What comes of it

  /// Makes a function the history of a call's results.
  static func attach(_ function: GradientFunction, to value: Value, of call: OperatorCall) throws {
    let results = value.results
    function.inputMetadata = results.map { $0.reference.map { TensorMeta($0) } }
    for (index, result) in results.enumerated() {
      guard let tensor = result.reference, tensor.dtype.isFloatingPoint else { continue }
      let edge = GradientEdge(function, inputIndex: index)
      if call.target.mutates, let slot = call.slot(of: tensor) {
        try InPlaceRules.rebase(tensor, onto: edge, slot: slot, layoutOnly: call.target.mutatesLayoutOnly)
      } else {
        tensor.autogradMeta = AutogradState(history: edge)
      }
    }
  }
}

extension PositionSet {
  func inserting(_ position: Int) -> PositionSet {
    var result = self
    result.insert(position)
    return result
  }
}

extension Argument {
  /// The results that a call gave, in order.
  var results: [Argument] { elements ?? [self] }
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
