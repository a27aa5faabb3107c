import GraphIR
import TensorCore

extension OperatorLibrary {
  static let recurrentLayers = [rnnTanh, rnnRelu, gru, lstm]

  // Layers of recurrent cells over a sequence [T, B, in], or [B, T, in]. States are [layers · directions, B, hidden], the
  // parameters those of one layer and direction after another. Results: the last layer's outputs, directions side by side,
  // and the states after the sequence.

  public static let rnnTanh = layers("rnn_tanh.input(Tensor input, Tensor hx, \(options)) -> (Tensor, Tensor)", .tanh)
  public static let rnnRelu = layers("rnn_relu.input(Tensor input, Tensor hx, \(options)) -> (Tensor, Tensor)", .relu)
  public static let gru = layers("gru.input(Tensor input, Tensor hx, \(options)) -> (Tensor, Tensor)", .gru)

  /// The state is hidden and cell. Where they differ in width, the last of each direction's parameters projects one on the
  /// other.
  public static let lstm = layers(
    "lstm.input(Tensor input, Tensor[] hx, \(options)) -> (Tensor, Tensor, Tensor)", .lstm)

  private static let options = """
    Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first
    """

  private static func layers(_ schema: String, _ cell: RecurrentCell) -> OperatorDefinition {
    OperatorDefinition(schema, .composite { call in try RecurrentLayers(call, cell).run() })
  }
}

/// A call of a recurrent network of several layers.
private struct RecurrentLayers {
  private let call: OperatorCall
  private let cell: RecurrentCell
  /// [T, B, in]
  private let input: Tensor
  /// The hidden state and what else there is, [layers · directions, B, …] each.
  private let states: [Tensor]
  private let layerCount: Int
  private let directionCount: Int

  init(_ call: OperatorCall, _ cell: RecurrentCell) throws {
    self.call = call
    self.cell = cell
    let given = try call.tensor(0)
    guard given.rank == 3 else {
      throw OperatorError(.shape, call.target.name, "needs an input of 3 dimensions, got sizes \(given.sizes)")
    }
    input = try call.bool(8) ? given.transpose(0, 1) : given
    states = try call.arguments[1].reference.map { [$0] } ?? call.tensors(1)
    layerCount = try call.int(4)
    directionCount = try call.bool(7) ? 2 : 1
    guard input.sizes[0] > 0 else {
      throw OperatorError(.shape, call.target.name, "needs a sequence of at least one step, got sizes \(given.sizes)")
    }
    let count = SymInt(layerCount * directionCount)
    guard layerCount > 0, states.count == cell.stateCount,
      states.allSatisfy({ $0.rank == 3 && $0.sizes[0] == count })
    else {
      throw OperatorError(
        .shape, call.target.name,
        "'hx' must be \(cell.stateCount) states [\(count), batch, hidden], got sizes \(states.map(\.sizes))")
    }
  }

  func run() throws -> Value {
    let parameters = try parameters()
    let dropout = try call.double(5)
    let isTraining = try call.bool(6)
    var sequence = input
    var ends: [[Tensor]] = []
    for layer in 0..<layerCount {
      if layer > 0, isTraining, dropout != 0 { sequence = try sequence.dropout(dropout, isTraining: true) }
      var outputs: [Tensor] = []
      for direction in 0..<directionCount {
        let place = layer * directionCount + direction
        let (output, end) = try run(
          sequence, parameters[place], from: states.map { try $0.select(0, place) }, isReversed: direction == 1)
        outputs.append(output)
        ends.append(end)
      }
      sequence = try outputs.count == 1 ? outputs[0] : Tensor.cat(outputs, dimension: 2)
    }
    let output = try call.bool(8) ? sequence.transpose(0, 1) : sequence
    let lastStates = try (0..<cell.stateCount).map { state in try Tensor.stack(ends.map { $0[state] }, dimension: 0) }
    return .tuple(([output] + lastStates).map { .reference($0) })
  }

  /// One direction of one layer: its outputs [T, B, hidden] and the state at its end.
  private func run(
    _ sequence: Tensor, _ parameters: RecurrentParameters, from start: [Tensor], isReversed: Bool
  ) throws -> (Tensor, [Tensor]) {
    try parameters.check(cell, inputSizes: sequence.sizes, state: start, call)
    // What the weights make of the input does not depend on the state: one product for all steps.
    let steps = try parameters.gates(ofInput: sequence).unbind(0)
    var state = start
    var outputs: [Tensor] = []
    for step in isReversed ? steps.reversed() : steps {
      state = try cell.step(step, parameters.gates(ofHidden: state[0]), state)
      if let projection = parameters.projection { state[0] = try state[0].linear(projection) }
      outputs.append(state[0])
    }
    return (try Tensor.stack(isReversed ? outputs.reversed() : outputs, dimension: 0), state)
  }

  /// The parameters of each layer and direction.
  private func parameters() throws -> [RecurrentParameters] {
    let tensors = try call.tensors(2)
    let hasBiases = try call.bool(3)
    let isProjected = cell.stateCount == 2 && states[0].sizes[2] != states[1].sizes[2]
    let each = (hasBiases ? 4 : 2) + (isProjected ? 1 : 0)
    guard tensors.count == each * layerCount * directionCount else {
      throw OperatorError(
        .argument, call.target.name,
        "'params' must be \(each) tensors per layer and direction, \(each * layerCount * directionCount) in all, got \(tensors.count)"
      )
    }
    return stride(from: 0, to: tensors.count, by: each).map { first in
      RecurrentParameters(
        inputWeight: tensors[first], hiddenWeight: tensors[first + 1], inputBias: hasBiases ? tensors[first + 2] : nil,
        hiddenBias: hasBiases ? tensors[first + 3] : nil, projection: isProjected ? tensors[first + each - 1] : nil)
    }
  }
}

/// How a recurrent network's layers are put together.
public struct RecurrentOptions: Sendable {
  public var hasBiases = true
  public var layerCount = 1
  /// The probability with which elements are dropped between layers, in training.
  public var dropout = 0.0
  public var isTraining = false
  public var isBidirectional = false
  /// Whether sequences are [B, T, features] rather than [T, B, features].
  public var isBatchFirst = false

  public init() {}

  fileprivate var values: [Value] {
    [
      .bool(hasBiases), Value(layerCount), .double(dropout), .bool(isTraining), .bool(isBidirectional),
      .bool(isBatchFirst),
    ]
  }
}

extension Tensor {
  /// Layers of tanh cells over this sequence: the last layer's outputs, and the states at its end.
  public func rnnTanh(
    _ state: Tensor, _ parameters: [Tensor], _ options: RecurrentOptions = .init()
  ) throws -> (output: Tensor, state: Tensor) {
    try recurrent(OperatorLibrary.rnnTanh, state, parameters, options)
  }

  /// Layers of ReLU cells over this sequence: the last layer's outputs, and the states at its end.
  public func rnnRelu(
    _ state: Tensor, _ parameters: [Tensor], _ options: RecurrentOptions = .init()
  ) throws -> (output: Tensor, state: Tensor) {
    try recurrent(OperatorLibrary.rnnRelu, state, parameters, options)
  }

  /// Layers of gated recurrent units over this sequence: the last layer's outputs, and the states at its end.
  public func gru(
    _ state: Tensor, _ parameters: [Tensor], _ options: RecurrentOptions = .init()
  ) throws -> (output: Tensor, state: Tensor) {
    try recurrent(OperatorLibrary.gru, state, parameters, options)
  }

  private func recurrent(
    _ target: OperatorDefinition, _ state: Tensor, _ parameters: [Tensor], _ options: RecurrentOptions
  ) throws -> (output: Tensor, state: Tensor) {
    let arguments = [.reference(self), .reference(state), .list(parameters.map { .reference($0) })] + options.values
    let results = try target.call(arguments).elements?.compactMap(\.reference) ?? []
    return (results[0], results[1])
  }

  /// Layers of long short-term memories over this sequence: the last layer's outputs, and the states at its end.
  public func lstm(
    _ state: (hidden: Tensor, cell: Tensor), _ parameters: [Tensor], _ options: RecurrentOptions = .init()
  ) throws -> (output: Tensor, hidden: Tensor, cell: Tensor) {
    let states = Value.list([.reference(state.hidden), .reference(state.cell)])
    let arguments = [.reference(self), states, .list(parameters.map { .reference($0) })] + options.values
    let results = try OperatorLibrary.lstm.call(arguments).elements?.compactMap(\.reference) ?? []
    return (results[0], results[1], results[2])
  }
}
