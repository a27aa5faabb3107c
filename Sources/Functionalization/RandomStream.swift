import AOTArtifacts
import GraphIR
import Operators
import TensorCore

/// The random numbers of one call of a functional graph: the key and the first of as many counters as its draws take, which come
/// in as inputs. Each draw has its place among them in the order of the program, so that it gives the same numbers as eagerly
/// wherever and however often it runs.
final class RandomStream {
  private let recorder: FunctionalRecorder
  private var operands: (key: Value, counter: Value)?
  private var usedBlockCount = 0
  /// Whether the program's draws can all be placed. They are left as they are, in order, where one cannot.
  private let isPlaced: Bool

  init(_ program: Graph, recorder: FunctionalRecorder) {
    self.recorder = recorder
    isPlaced = program.nodes.allSatisfy { id in
      guard let target = program[id].target as? OperatorDefinition, target.traits.contains(.random) else { return true }
      return target.functional.keyed != nil
    }
  }

  /// The number of counters that a call of the graph takes; nil for a graph that does not take any.
  var blockCount: Int? { operands == nil ? nil : usedBlockCount }

  /// Calls an operator that draws random numbers.
  func call(_ target: OperatorDefinition, _ arguments: [Value]) throws -> Value {
    guard isPlaced, let keyed = target.keyed else { return try target.evaluate(arguments) }
    let operands = try self.operands ?? addInputs()
    self.operands = operands
    let offset = Value.int(SymInt(usedBlockCount))
    usedBlockCount += try target.blockCount(OperatorCall(target, arguments))
    return try keyed.evaluate(arguments + [operands.key, operands.counter, offset])
  }

  private func addInputs() throws -> (key: Value, counter: Value) {
    let meta = TensorMeta(dtype: .int64, sizes: [])
    let key = try recorder.tracer.placeholder("random_key", meta, descriptor: .randomKey)
    let counter = try recorder.tracer.placeholder("random_counter", meta, descriptor: .randomCounter)
    return (.reference(key), .reference(counter))
  }
}

extension OperatorDefinition {
  /// The operator that a call in place computes with.
  fileprivate var functional: OperatorDefinition {
    switch implementation {
    case .inPlace(let functional): functional
    case .mutating: functionalCounterpart ?? self
    default: self
    }
  }
}
