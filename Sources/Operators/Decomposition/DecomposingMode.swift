import GraphIR
import TensorCore

/// Records calls on a tracer; those of operators in a table as what they are decomposed into, however often that takes.
final class DecomposingMode: DispatchMode {
  private let table: DecompositionTable
  private let tracer: GraphTracer
  /// The operators whose decompositions are running, outermost first.
  private var running: [OperatorDefinition] = []
  /// The random numbers of the keyed call that is being decomposed.
  private var stream: RandomShare?

  init(_ table: DecompositionTable, recordingOn tracer: GraphTracer) {
    self.table = table
    self.tracer = tracer
  }

  func lift(_ tensor: Tensor) throws -> Tensor { try tracer.lift(tensor) }
  func refuse(_ error: any Error) { tracer.refuse(error) }
  func depend(on read: GuardedRead) { tracer.depend(on: read) }

  func dispatch(_ call: OperatorCall) throws -> Value {
    let call = try stream?.keyed(call) ?? call
    switch table.replacement(of: call.target) {
    case nil: return try tracer.dispatch(call)
    case .calls(let body): return try decompose(call, body)
    case .write(let functional, let body):
      let value = try decompose(OperatorCall(functional, call.arguments), body)
      return try OperatorLibrary.copy.inPlace.call([call.arguments[0], value])
    }
  }

  private func decompose(_ call: OperatorCall, _ body: DecompositionTable.Body) throws -> Value {
    guard !running.contains(where: { $0 === call.target }) else {
      let path = (running + [call.target]).map(\.name.description).joined(separator: " → ")
      throw OperatorError(.argument, call.target.name, "its decomposition never ends: \(path)")
    }
    running.append(call.target)
    defer { running.removeLast() }
    let expected = try DispatchContext.current.withMode(nil) { try Dispatcher.execute(call) }
    var fitting = ResultFitting(call)
    guard let unkeyed = call.unkeyed else { return try fitting.fit(body(call), to: expected) }
    let saved = stream
    stream = try RandomShare(of: call, unkeyed)
    defer { stream = saved }
    return try fitting.fit(body(unkeyed), to: expected)
  }
}

extension DecompositionTable {
  /// What a call is recorded as in place of the operator.
  enum Replacement {
    case calls(Body)
    /// The calls of the functional operator, then a copy of what they give into the first argument.
    case write(functional: OperatorDefinition, Body)
  }

  func replacement(of definition: OperatorDefinition) -> Replacement? {
    if let body = self[definition] ?? definition.keyedOriginal.flatMap({ self[$0] }) { return .calls(body) }
    // A write stays a write: `copy_` is what is left of every one.
    guard case .inPlace(let functional) = definition.implementation, definition !== OperatorLibrary.copy.inPlace,
      !definition.mutatesLayoutOnly, let body = self[functional]
    else { return nil }
    return .write(functional: functional, body)
  }
}

/// Makes of what a decomposition gave what the operator gives: the same types and strides, and memory that nothing else has.
private struct ResultFitting {
  private let call: OperatorCall
  private var taken: [ObjectIdentifier]

  init(_ call: OperatorCall) {
    self.call = call
    self.taken = call.allTensors.map { ObjectIdentifier($0.storage) }
  }

  mutating func fit(_ value: Value, to expected: Value) throws -> Value {
    switch (value, expected) {
    case (.reference(let tensor), .reference(let expected)): return .reference(try fit(tensor, to: expected))
    case (.list(let values), .list(let expected)): return .list(try fit(values, to: expected))
    case (.tuple(let values), .tuple(let expected)): return .tuple(try fit(values, to: expected))
    case (_, .none): return .none
    default: throw refusal("\(value) in the place of \(expected)")
    }
  }

  private mutating func fit(_ values: [Value], to expected: [Value]) throws -> [Value] {
    guard values.count == expected.count else {
      throw refusal("\(values.count) results where there are \(expected.count)")
    }
    var results: [Value] = []
    for (value, expected) in zip(values, expected) { results.append(try fit(value, to: expected)) }
    return results
  }

  private mutating func fit(_ tensor: Tensor, to expected: Tensor) throws -> Tensor {
    guard tensor.sizes == expected.sizes else {
      throw refusal("sizes \(tensor.sizes) in the place of \(expected.sizes)")
    }
    if call.allTensors.contains(where: { $0 === expected }) {
      guard tensor === expected else { throw refusal("another tensor than the one that is written to") }
      return tensor
    }
    if case .view = call.target.implementation {
      guard tensor.storage === expected.storage, tensor.layout == expected.layout else {
        throw refusal("no view of the same elements")
      }
      return tensor
    }
    guard var result = try tensor.converted(to: expected.dtype).relaid(like: expected.layout) else {
      throw refusal("strides \(tensor.strides) in the place of \(expected.strides)")
    }
    if taken.contains(ObjectIdentifier(result.storage)) { result = try result.clone() }
    taken.append(ObjectIdentifier(result.storage))
    return result
  }

  private func refusal(_ message: String) -> OperatorError {
    OperatorError(.argument, call.target.name, "its decomposition gives \(message)")
  }
}
