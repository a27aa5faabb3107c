import EagerAutograd
import GraphIR
import Operators
import TensorCore

/// An operator that calls graphs: a region with gradients off, a branch, a loop.
///
/// It runs the graphs that it calls, so that a captured program has what they do in place of the call.
final class HigherOrderOperator: GraphCallingOperator {
  typealias Run = (_ path: String, _ arguments: [Value]) throws -> Value

  let schema: OperatorSchema
  // What the nested graphs do is not known from the call: assume that it matters.
  let traits: OperatorTraits = [.callsGraphs, .effectful]
  /// Whether the arguments after the first ones are one list to the operator.
  let gathersOperands: Bool
  private let body: @Sendable ([Value], Run) throws -> Value

  private init(
    _ name: String, _ parameters: [String], gathersOperands: Bool,
    _ body: @escaping @Sendable ([Value], Run) throws -> Value
  ) {
    schema = OperatorSchema(
      name: OperatorName("higher_order", name), parameters: parameters.map { .init($0, .anything) },
      returns: [.init(.anything)])
    self.gathersOperands = gathersOperands
    self.body = body
  }

  func evaluate(_ arguments: [Value], running run: Run) throws -> Value {
    guard arguments.count == schema.parameters.count else {
      throw GraphError(.invalidArgument, "\(name) needs \(schema.parameters.count) arguments, got \(arguments.count)")
    }
    return try body(arguments, run)
  }

  static let all = Dictionary(
    uniqueKeysWithValues: [
      setGradEnabled, autocastRegion, condition, whileLoop, iterationCount, subgraph, map, scan, associativeScan,
    ].map { ($0.name, $0) })

  private static let setGradEnabled = HigherOrderOperator(
    "wrap_with_set_grad_enabled", ["enabled", "graph", "operands"], gathersOperands: true
  ) { arguments, run in
    guard case .bool(let isEnabled) = arguments[0] else { throw mismatch("enabled", "true or false") }
    let call = { try run(path(arguments[1]), operands(arguments[2])) }
    return isEnabled ? try enableGrad(call) : try noGrad(call)
  }

  private static let autocastRegion = HigherOrderOperator(
    "wrap_with_autocast", ["device_type", "dtype", "enabled", "cache_enabled", "graph", "operands"],
    gathersOperands: true
  ) { arguments, run in
    guard case .bool(let isEnabled) = arguments[2] else { throw mismatch("enabled", "true or false") }
    var dtype = DType.bfloat16
    if case .dtype(let wanted) = arguments[1] { dtype = wanted }
    return try autocast(isEnabled ? dtype : nil) { try run(path(arguments[4]), operands(arguments[5])) }
  }

  private static let condition = HigherOrderOperator(
    "cond", ["predicate", "true_graph", "false_graph", "operands"], gathersOperands: false
  ) { arguments, run in
    try run(path(arguments[isTrue(arguments[0]) ? 1 : 2]), operands(arguments[3]))
  }

  /// The condition is a graph, or how often the body runs.
  private static let whileLoop = HigherOrderOperator(
    "while_loop", ["condition", "body", "carried", "operands"], gathersOperands: false
  ) { arguments, run in .tuple(try loop(arguments, run).carried) }

  /// How often the body of a `while_loop` of these arguments runs.
  static let iterationCount = HigherOrderOperator(
    "while_loop_count", ["condition", "body", "carried", "operands"], gathersOperands: false
  ) { arguments, run in .int(SymInt(try loop(arguments, run).count)) }

  private static func loop(_ arguments: [Value], _ run: Run) throws -> (carried: [Value], count: Int) {
    let more = try operands(arguments[3])
    var carried = try operands(arguments[2])
    var count = 0
    while true {
      if case .int(let wanted) = arguments[0] {
        guard count < wanted.value else { return (carried, count) }
      } else {
        let condition = try run(path(arguments[0]), carried + more)
        guard try isTrue(condition.elements?.first ?? condition) else { return (carried, count) }
      }
      carried = try operands(run(path(arguments[1]), carried + more))
      count += 1
    }
  }

  // Loops over the first dimension of tensors: what each round gives is stacked.

  private static let map = HigherOrderOperator(
    "map_impl", ["graph", "sequences", "operands"], gathersOperands: false
  ) { arguments, run in
    let more = try operands(arguments[2])
    return try stacked(try rounds(of: arguments[1]).map { try operands(run(path(arguments[0]), $0 + more)) })
  }

  /// The graph takes what is carried and a round's elements, and gives both anew.
  private static let scan = HigherOrderOperator(
    "scan", ["graph", "initial", "sequences", "operands"], gathersOperands: false
  ) { arguments, run in
    let more = try operands(arguments[3])
    var carried = try operands(arguments[1])
    var results: [[Value]] = []
    for elements in try rounds(of: arguments[2]) {
      let given = try operands(run(path(arguments[0]), carried + elements + more))
      guard given.count >= carried.count else { throw mismatch("graph", "one that gives what is carried") }
      results.append(Array(given[carried.count...]))
      carried = Array(given[..<carried.count])
    }
    return .tuple(carried + (try operands(stacked(results))))
  }

  /// The graph takes two rounds' elements and gives one's.
  private static let associativeScan = HigherOrderOperator(
    "associative_scan", ["graph", "sequences", "operands"], gathersOperands: false
  ) { arguments, run in
    let more = try operands(arguments[2])
    var results: [[Value]] = []
    for elements in try rounds(of: arguments[1]) {
      results.append(try results.last.map { try operands(run(path(arguments[0]), $0 + elements + more)) } ?? elements)
    }
    return try stacked(results)
  }

  /// The elements of tensors along their first dimension, one of each at a time.
  private static func rounds(of argument: Value) throws -> [[Value]] {
    let tensors = try operands(argument).map { value in
      guard let tensor = value.reference, tensor.rank > 0 else { throw mismatch("sequences", "a list of tensors") }
      return tensor
    }
    guard let count = tensors.first?.shape[0], tensors.allSatisfy({ $0.shape[0] == count }) else {
      throw mismatch("sequences", "tensors of one length")
    }
    return try (0..<count).map { index in try tensors.map { .reference(try $0.select(0, index)) } }
  }

  private static func stacked(_ rounds: [[Value]]) throws -> Value {
    guard let first = rounds.first else { throw mismatch("sequences", "at least one element long") }
    return .tuple(
      try first.indices.map { part in
        .reference(try Tensor.stack(rounds.compactMap { $0[part].reference }, dimension: 0))
      })
  }

  private static let subgraph = HigherOrderOperator(
    "invoke_subgraph", ["graph", "identifier", "operands"], gathersOperands: true
  ) { arguments, run in try run(path(arguments[0]), operands(arguments[2])) }

  // MARK: - Arguments

  private static func path(_ argument: Value) throws -> String {
    guard case .string(let path) = argument else { throw mismatch("graph", "a graph") }
    return path
  }

  private static func operands(_ argument: Value) throws -> [Value] {
    guard let operands = argument.elements else { throw mismatch("operands", "a list") }
    return operands
  }

  private static func isTrue(_ argument: Value) throws -> Bool {
    if let tensor = argument.reference { return try tensor.item().doubleValue != 0 }
    guard let scalar = argument.scalar else { throw mismatch("predicate", "a truth") }
    return scalar.doubleValue != 0
  }

  private static func mismatch(_ parameter: String, _ expected: String) -> GraphError {
    GraphError(.invalidArgument, "'\(parameter)' is not \(expected)")
  }
}
