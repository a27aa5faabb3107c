import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// The random numbers of one call of a functional graph: the key and the first of as many counters as its draws take, which come
/// in as inputs. Each draw has its place among them in the order of the program, so that it gives the same numbers as eagerly
/// wherever and however often it runs.
final class RandomStream {
  private let recorder: FunctionalRecorder
  private let draws: [OperatorDefinition]
  private var operands: (key: Value, counter: Value)?
  private var usedBlockCount = 0

  /// Whether it is known how much each call draws: a wrapper subclass may draw for each of its inner tensors.
  private let isCountable: Bool

  init(_ capture: AOTGraphCapture, recorder: FunctionalRecorder) {
    self.recorder = recorder
    draws = capture.module.graph.calledOperators.filter { $0.traits.contains(.random) }
    isCountable = !capture.usesSubclasses && draws.allSatisfy { $0.keyed != nil }
  }

  /// Adds the graph's inputs, if its draws can all be placed. They are left as they are, in order, where one cannot.
  func addInputs() throws {
    guard !draws.isEmpty, isCountable else { return }
    let meta = TensorMeta(dtype: .int64, sizes: [])
    let key = try recorder.tracer.placeholder("random_key", meta, descriptor: .randomKey)
    let counter = try recorder.tracer.placeholder("random_counter", meta, descriptor: .randomCounter)
    operands = (.reference(key), .reference(counter))
  }

  /// The number of counters that a call of the graph takes; nil for a graph that does not take any.
  var blockCount: Int? { operands == nil ? nil : usedBlockCount }

  /// Calls an operator that draws random numbers.
  func call(_ target: OperatorDefinition, _ arguments: [Value]) throws -> Value {
    guard let operands, let keyed = target.keyed else { return try target.evaluate(arguments) }
    let offset = Value.int(SymInt(usedBlockCount))
    usedBlockCount += try target.blockCount(OperatorCall(target, arguments))
    return try keyed.evaluate(arguments + [operands.key, operands.counter, offset])
  }
}

extension Graph {
  /// The operators that the calls compute with, in order.
  var calledOperators: [OperatorDefinition] {
    nodes.compactMap { (self[$0].target as? OperatorDefinition)?.functional }
  }
}
