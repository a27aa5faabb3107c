import GraphIR
import TensorCore

extension OperatorLibrary {
  static let recurrentCells = [rnnTanhCell, rnnReluCell, gruCell, lstmCell]

  // One step for a batch: input [B, in], state [B, hidden] → the next state. Weights [gates · hidden, in or hidden].

  public static let rnnTanhCell = cell("rnn_tanh_cell(Tensor input, Tensor hx, \(parameters)) -> Tensor", .tanh)
  public static let rnnReluCell = cell("rnn_relu_cell(Tensor input, Tensor hx, \(parameters)) -> Tensor", .relu)
  public static let gruCell = cell("gru_cell(Tensor input, Tensor hx, \(parameters)) -> Tensor", .gru)

  /// The state is hidden and cell, as are the results.
  public static let lstmCell = cell(
    "lstm_cell(Tensor input, Tensor[] hx, \(parameters)) -> (Tensor, Tensor)", .lstm)

  private static let parameters = "Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None"

  private static func cell(_ schema: String, _ cell: RecurrentCell) -> OperatorDefinition {
    OperatorDefinition(
      schema,
      .composite { call in
        let input = try call.tensor(0)
        let state = try call.arguments[1].reference.map { [$0] } ?? call.tensors(1)
        let parameters = RecurrentParameters(
          inputWeight: try call.tensor(2), hiddenWeight: try call.tensor(3), inputBias: try call.optionalTensor(4),
          hiddenBias: try call.optionalTensor(5))
        guard input.rank == 2 else {
          throw OperatorError(.shape, call.target.name, "needs an input [batch, features], got \(input.sizes)")
        }
        try parameters.check(cell, inputSizes: input.sizes, state: state, call)
        let next = try cell.step(parameters.gates(ofInput: input), parameters.gates(ofHidden: state[0]), state)
        return next.count == 1 ? .reference(next[0]) : .tuple(next.map { .reference($0) })
      })
  }
}

/// How a recurrent network goes from one state to the next.
struct RecurrentCell: Sendable {
  /// Features that the weights compute, per feature of the state.
  let gateCount: Int
  /// Tensors that make up a state, the hidden one first.
  let stateCount: Int
  /// The next state from what the weights make of the input and of the hidden state.
  let step: @Sendable (_ input: Tensor, _ hidden: Tensor, _ state: [Tensor]) throws -> [Tensor]

  static let tanh = RecurrentCell(gateCount: 1, stateCount: 1) { input, hidden, _ in [try (input + hidden).tanh()] }
  static let relu = RecurrentCell(gateCount: 1, stateCount: 1) { input, hidden, _ in [try (input + hidden).relu()] }

  static let gru = RecurrentCell(gateCount: 3, stateCount: 1) { input, hidden, state in
    let (input, hidden) = (try input.chunk(3, dimension: 1), try hidden.chunk(3, dimension: 1))
    let reset = try (input[0] + hidden[0]).sigmoid()
    let update = try (input[1] + hidden[1]).sigmoid()
    let candidate = try (input[2] + reset * hidden[2]).tanh()
    return [try (state[0] - candidate) * update + candidate]
  }

  static let lstm = RecurrentCell(gateCount: 4, stateCount: 2) { input, hidden, state in
    let gates = try (input + hidden).chunk(4, dimension: 1)
    let (enter, forget, output) = (try gates[0].sigmoid(), try gates[1].sigmoid(), try gates[3].sigmoid())
    let cell = try forget * state[1] + enter * gates[2].tanh()
    return [try output * cell.tanh(), cell]
  }
}

/// What one direction of one layer learns.
struct RecurrentParameters {
  var inputWeight: Tensor
  var hiddenWeight: Tensor
  var inputBias: Tensor?
  var hiddenBias: Tensor?
  /// Makes the hidden state of an LSTM smaller than its cell: [projected, hidden].
  var projection: Tensor?

  func gates(ofInput input: Tensor) throws -> Tensor { try input.linear(inputWeight, bias: inputBias) }
  func gates(ofHidden hidden: Tensor) throws -> Tensor { try hidden.linear(hiddenWeight, bias: hiddenBias) }

  /// - Throws: `OperatorError` where an input of these sizes [..., B, in], the state and the parameters do not fit together.
  func check(_ cell: RecurrentCell, inputSizes: [SymInt], state: [Tensor], _ call: OperatorCall) throws {
    guard state.count == cell.stateCount, state.allSatisfy({ $0.rank == 2 }), let last = state.last else {
      throw OperatorError(
        .shape, call.target.name,
        "'hx' must be \(cell.stateCount) states [batch, hidden], got sizes \(state.map(\.sizes))")
    }
    let batch = inputSizes[inputSizes.count - 2]
    let (width, hidden) = (last.sizes[1], state[0].sizes[1])
    let rows = width * SymInt(cell.gateCount)
    let needed: [(String, Tensor?, [SymInt])] = [
      ("hx", state[0], [batch, projection == nil ? width : hidden]), ("hx", last, [batch, width]),
      ("w_ih", inputWeight, [rows, inputSizes[inputSizes.count - 1]]), ("w_hh", hiddenWeight, [rows, hidden]),
      ("b_ih", inputBias, [rows]), ("b_hh", hiddenBias, [rows]), ("w_hr", projection, [hidden, width]),
    ]
    for (name, tensor, sizes) in needed {
      guard let tensor, tensor.sizes != sizes else { continue }
      throw OperatorError(
        .shape, call.target.name,
        "\(name) must have sizes \(sizes) for an input of sizes \(inputSizes) and \(width) features, got \(tensor.sizes)"
      )
    }
  }
}

extension Tensor {
  /// One step of a gated recurrent unit on a batch [B, in]: the state [B, hidden] after it.
  public func gruCell(
    _ state: Tensor, inputWeight: Tensor, hiddenWeight: Tensor, inputBias: Tensor? = nil, hiddenBias: Tensor? = nil
  ) throws -> Tensor {
    let biases = [inputBias, hiddenBias].map { $0.map { Value.reference($0) } ?? .none }
    return try OperatorLibrary.gruCell(
      [.reference(self), .reference(state), .reference(inputWeight), .reference(hiddenWeight)] + biases)
  }

  /// One step of a long short-term memory on a batch [B, in]: the state, each [B, hidden], after it.
  public func lstmCell(
    _ state: (hidden: Tensor, cell: Tensor), inputWeight: Tensor, hiddenWeight: Tensor, inputBias: Tensor? = nil,
    hiddenBias: Tensor? = nil
  ) throws -> (hidden: Tensor, cell: Tensor) {
    let biases = [inputBias, hiddenBias].map { $0.map { Value.reference($0) } ?? .none }
    let states = Value.list([.reference(state.hidden), .reference(state.cell)])
    let next = try OperatorLibrary.lstmCell.several(
      .reference(self), states, .reference(inputWeight), .reference(hiddenWeight), biases[0], biases[1])
    return (next[0], next[1])
  }
}
