import GraphIR
import LoopIR
import TensorCore

/// Where a call gets its random numbers.
enum RandomSource<Reference> {
  /// The generator in use when the call happens.
  case generator
  /// The Philox generator of a key, from the counter that is `offset` after one that is given: both int64 tensors [].
  case stream(key: Reference, counter: Reference, offset: Int)
}

extension RandomSource: Sendable where Reference: Sendable {}

extension OperatorDefinition {
  /// Of an operator that draws random numbers, the pure one that makes them of a key and a counter: what stands in functional
  /// graphs, where a call may be moved, repeated or dropped. Nil where nobody can tell how much a call draws.
  ///
  /// Its further parameters are `philox_key` and `philox_counter`, int64 tensors [], and `philox_offset`, this draw's place
  /// among those of the graph. Compare the JAX way (`jax.random`) and PyTorch's `rngprims.philox_rand`.
  package var keyed: OperatorDefinition? {
    guard drawCount != nil, traits.contains(.random), !mutates else { return nil }
    return DerivedVariants.keyed.variant(of: self) { original in
      OperatorDefinition(
        extending: original, schema: original.schema.keyed,
        traits: original.traits.subtracting([.random, .factory, .core])
          .union(original.isCheapToDraw ? .pointwise : []), original.keyedImplementation)
    }
  }

  /// Of a keyed variant, the operator that draws.
  var keyedOriginal: OperatorDefinition? {
    schema.index(of: OperatorSchema.keyParameters[0]) == nil ? nil : extended
  }

  /// The number of counters that a call takes.
  ///
  /// - Precondition: The operator has a keyed variant.
  package func blockCount(_ call: OperatorCall) throws -> Int { RandomDraw.blockCount(try drawCount?(call) ?? 0) }

  /// Kernels ask the call for its source; Swift code draws from the generator in use.
  private var keyedImplementation: Implementation {
    guard case .host(let shape, let body) = implementation else { return implementation }
    return .host(shape: shape) { call, results in
      guard case .stream(let key, let counter, let offset) = try call.randomSource else { return }
      let generator = Generator(key: try key.bitPattern, counter: try counter.bitPattern &+ UInt64(offset))
      try generator.use { try body(call, results) }
    }
  }
}

extension OperatorSchema {
  fileprivate static let keyParameters = ["philox_key", "philox_counter", "philox_offset"]

  fileprivate var keyed: OperatorSchema {
    var result = self
    result.name.namespace = "philox"
    for (name, type) in zip(Self.keyParameters, [SchemaType.tensor, .tensor, .int]) {
      result.parameters.append(.init(name, type, isKeywordOnly: true))
    }
    return result
  }
}

extension Call {
  /// The call that this one, of a keyed variant, stands for; nil for any other call.
  var unkeyed: Call? {
    target.keyedOriginal.map { Call($0, arguments.dropLast(OperatorSchema.keyParameters.count)) }
  }

  /// What the call's further arguments say, where it is one of a keyed variant.
  var randomSource: RandomSource<Reference> {
    get throws {
      guard let position = target.schema.index(of: OperatorSchema.keyParameters[0]) else { return .generator }
      return .stream(
        key: try reference(position), counter: try reference(position + 1), offset: try int(position + 2))
    }
  }
}

extension Tensor {
  /// The bits of the single element of an int64 tensor.
  fileprivate var bitPattern: UInt64 {
    get throws { UInt64(bitPattern: Int64(try elements(as: Int.self)[0])) }
  }
}
