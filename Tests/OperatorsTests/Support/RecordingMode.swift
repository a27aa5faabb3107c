import GraphIR
import TensorCore

@testable import Operators

/// A tape for tests: runs every call, then derivatives in reverse, each seeing only what its formula says it saves.
final class RecordingMode: DispatchMode {
  private struct Entry {
    /// What is called, its arguments as they were before the call.
    let call: OperatorCall
    /// The arguments' identities: an in-place variant's result is its first argument.
    let originals: [Value]
    let results: [Value]
    let needed: Set<Int>
  }

  private var entries: [Entry] = []
  private var tracked: Set<ObjectIdentifier>

  init(differentiating inputs: [Tensor]) { tracked = Set(inputs.map { ObjectIdentifier($0) }) }

  func lift(_ tensor: Tensor) -> Tensor { tensor }
  func refuse(_ error: any Error) {}

  func dispatch(_ call: OperatorCall) throws -> Value {
    try DispatchContext.current.withMode(nil) {
      var before = call
      if call.target.mutates, let tensor = call.arguments[0].reference {
        before.arguments[0] = .reference(try tensor.clone())
      }
      let value = try Dispatcher.execute(call)
      let needed = call.arguments.indices.filter {
        call.arguments[$0].references.contains { tracked.contains(ObjectIdentifier($0)) }
      }
      if !needed.isEmpty, call.target.derivative?.isEmpty != true {
        let results = value.reference == nil ? value.elements ?? [] : [value]
        entries.append(
          Entry(call: before, originals: call.arguments, results: results, needed: Set(needed)))
        for result in value.references where result.dtype.isFloatingPoint { tracked.insert(ObjectIdentifier(result)) }
      }
      return value
    }
  }

  /// The gradients of Σ tangent · output with respect to the inputs; nil where none arrives.
  func gradients(of outputs: [(Tensor, tangent: Tensor)], for inputs: [Tensor]) throws -> [Tensor?] {
    var gradients: [ObjectIdentifier: Tensor] = [:]
    func add(_ gradient: Tensor, to tensor: Tensor) throws {
      let identity = ObjectIdentifier(tensor)
      gradients[identity] = try gradients[identity]?.add(gradient) ?? gradient
    }
    for (output, tangent) in outputs { try add(tangent, to: output) }
    for entry in entries.reversed() {
      let incoming = entry.results.map { $0.reference.flatMap { gradients[ObjectIdentifier($0)] } }
      if incoming.allSatisfy({ $0 == nil }) { continue }
      for result in entry.results { if let result = result.reference { gradients[ObjectIdentifier(result)] = nil } }
      let context = try context(entry, incoming)
      for (position, gradient) in try entry.call.target.gradients(context) {
        let argument = entry.originals[position]
        for (tensor, gradient) in zip(argument.references, gradient.elements ?? [gradient]) {
          if let gradient = gradient.reference { try add(gradient, to: tensor) }
        }
      }
    }
    return inputs.map { gradients[ObjectIdentifier($0)] }
  }

  private func context(_ entry: Entry, _ incoming: [Tensor?]) throws -> DerivativeContext {
    let formulas = (entry.call.target.derivative ?? []).filter { !entry.needed.isDisjoint(with: $0.parameters) }
    let savedArguments = Set(formulas.flatMap(\.savedArguments))
    let savedResults = Set(formulas.flatMap(\.savedResults))
    func standIn(_ tensor: Tensor) throws -> Tensor { try Tensor(fake: tensor.layout, dtype: tensor.dtype) }
    var call = entry.call
    for position in call.arguments.indices where !savedArguments.contains(position) {
      call.arguments[position] = try call.arguments[position].map { .reference(try standIn($0)) }
    }
    let results = try entry.results.enumerated().compactMap { index, result in
      try result.reference.map { savedResults.contains(index) ? $0 : try standIn($0) }
    }
    return DerivativeContext(call: call, results: results, gradients: incoming, needed: entry.needed)
  }
}
