import AOTAutograd

/// A pair of tensors of one shape and dtype that stands for a tensor: every operator is applied to both.
///
/// It is the subclass to test with: whatever is forgotten for one of the two shows. An ordinary tensor among the
/// arguments takes part in both calls.
///
///     let pair = try Tensor(wrapping: TwoTensor(a, b))
///     let a = pair.unwrapped(as: TwoTensor.self)?.a
public struct TwoTensor: TensorSubclass {
  public let a, b: Tensor

  /// - Throws: `OperatorError` where the two differ in sizes, dtype or device.
  public init(_ a: Tensor, _ b: Tensor) throws {
    guard a.sizes == b.sizes, a.dtype == b.dtype, a.device == b.device else {
      throw OperatorError(
        .argument, nil,
        "TwoTensor needs two tensors of one shape and dtype, got \(a.dtype) \(a.sizes) and \(b.dtype) \(b.sizes)")
    }
    (self.a, self.b) = (a, b)
  }

  public var innerTensors: KeyValuePairs<String, Tensor> { ["a": a, "b": b] }
  public var outer: TensorMeta { TensorMeta(a) }

  public init(innerTensors: [Tensor], metadata: NoMetadata, outer: TensorMeta) throws {
    try self.init(innerTensors[0], innerTensors[1])
  }

  public static func dispatch(_ call: OperatorCall) throws -> Value? {
    let writesBoth = call.target.schema.writtenPositions.allSatisfy { position in
      call.arguments[position].references.allSatisfy { $0.unwrapped(as: TwoTensor.self) != nil }
    }
    guard writesBoth else {
      throw OperatorError(
        .argument, call.target.name, "cannot write two results into an ordinary tensor; call it on a TwoTensor")
    }
    let a = try call.target.evaluate(call.arguments.map { $0.replacing(\.a) })
    let b = try call.target.evaluate(call.arguments.map { $0.replacing(\.b) })
    return try a.paired(with: b, by: call.target)
  }
}

extension Argument where Reference == Tensor {
  fileprivate func replacing(_ part: KeyPath<TwoTensor, Tensor>) -> Value {
    map { .reference($0.unwrapped(as: TwoTensor.self)?[keyPath: part] ?? $0) }
  }

  /// Results of two calls of one operator as results on pairs.
  fileprivate func paired(with other: Value, by target: OperatorDefinition) throws -> Value {
    switch (self, other) {
    case (.reference(let a), .reference(let b)): return .reference(try Tensor(wrapping: TwoTensor(a, b)))
    case (.list(let a), .list(let b)): return .list(try zip(a, b).map { try $0.paired(with: $1, by: target) })
    case (.tuple(let a), .tuple(let b)): return .tuple(try zip(a, b).map { try $0.paired(with: $1, by: target) })
    default:
      guard scalar == other.scalar else {
        throw OperatorError(.argument, target.name, "gives \(self) for one tensor of a pair and \(other) for the other")
      }
      return self
    }
  }
}
