import GraphIR
import TensorCore

extension OperatorSchema {
  /// Positions of the parameters that a call writes to.
  package var writtenPositions: [Int] { parameters.indices.filter { parameters[$0].alias?.isWrite == true } }

  /// The schema that has the tensors a call writes to as further results instead.
  fileprivate var functionalCounterpart: OperatorSchema {
    var result = self
    result.name.base += "_functional"
    result.returns.removeAll { $0.alias != nil }
    for position in writtenPositions {
      result.parameters[position].alias = nil
      result.returns.append(.init(.tensor))
    }
    return result
  }
}

extension OperatorDefinition {
  /// What functionalization calls in the place of an operator that writes to its arguments: the same body, on copies.
  ///
  /// - Precondition: Every parameter that the schema marks as written to is a tensor.
  static func functionalCounterpart(
    of schema: OperatorSchema, traits: OperatorTraits, _ implementation: Implementation
  ) -> OperatorDefinition? {
    guard case .mutating(let shape, let body) = implementation else { return nil }
    let written = schema.writtenPositions
    precondition(
      written.allSatisfy { schema.parameters[$0].type == .tensor }, "\(schema.name) writes to what is no single tensor")
    return OperatorDefinition(
      schema: schema.functionalCounterpart, traits: traits.intersection([.random, .effectful]),
      .host(
        shape: { call in
          try shape(call)
            + written.map { position in
              let tensor = try call.tensor(position)
              return TensorMeta(
                dtype: tensor.dtype, layout: tensor.layout.copied(format: .preserve), device: tensor.device)
            }
        },
        body: { call, results in
          let newCount = results.count - written.count
          var copied = call
          for (position, result) in zip(written, results.dropFirst(newCount)) {
            try EagerKernels.copy(call.tensor(position), to: result)
            copied.arguments[position] = .reference(result)
          }
          try body(copied, Array(results.prefix(newCount)))
        })
    ).notDifferentiable()
  }

  /// What computes, as new tensors, what a call writes; the operator itself where a call writes nothing.
  package var functional: OperatorDefinition {
    if case .inPlace(let functional) = implementation { functional } else { functionalCounterpart ?? self }
  }

  /// The results of a call in the order of the schema: the new ones, and the arguments that the schema says are given back.
  package func packedResults<Reference>(
    new: [Argument<Reference>], arguments: [Argument<Reference>]
  ) -> Argument<Reference> {
    var fresh = new.makeIterator()
    let results = schema.returns.map { result -> Argument<Reference> in
      guard let sets = result.alias?.sets else { return fresh.next() ?? .none }
      let position = schema.parameters.firstIndex { !Set($0.alias?.sets ?? []).isDisjoint(with: sets) }
      return position.map { arguments[$0] } ?? .none
    }
    return results.count == 1 ? results[0] : .tuple(results)
  }
}
