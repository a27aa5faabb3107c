import GraphIR
import LoopIR
import TensorCore

/// An operator with its arguments, one per parameter of its schema, defaults filled in.
///
/// The accessors read an argument by position as the schema's type says it is, and throw an error that names the parameter
/// where it is something else.
public struct Call<Reference> {
  public let target: OperatorDefinition
  public var arguments: [Argument<Reference>]

  public init(_ target: OperatorDefinition, _ arguments: [Argument<Reference>]) {
    self.target = target
    self.arguments = arguments
  }
}

/// A call on tensors.
public typealias OperatorCall = Call<Tensor>
/// A call on buffers of a loop program.
public typealias LoweringCall = Call<Operand>

extension Call {
  public func int(_ position: Int) throws -> Int {
    if case .int(let value) = arguments[position] { return value.value }
    throw mismatch(position, "an integer")
  }

  public func optionalInt(_ position: Int) throws -> Int? { arguments[position].isNone ? nil : try int(position) }

  public func symInts(_ position: Int) throws -> [SymInt] {
    switch arguments[position] {
    case .int(let value): return [value]
    case .list(let values), .tuple(let values):
      return try values.map {
        guard case .int(let value) = $0 else { throw mismatch(position, "a list of integers") }
        return value
      }
    default: throw mismatch(position, "a list of integers")
    }
  }

  public func ints(_ position: Int) throws -> [Int] { try symInts(position).values }

  public func optionalInts(_ position: Int) throws -> [Int]? { arguments[position].isNone ? nil : try ints(position) }

  /// A list of `count` integers, where one alone stands for all.
  public func ints(_ position: Int, count: Int) throws -> [Int] {
    let values = try ints(position)
    if values.count == 1 { return Array(repeating: values[0], count: count) }
    guard values.count == count else { throw mismatch(position, "\(count) integers") }
    return values
  }

  /// As many integers as are asked for, none of which stands for others.
  func exactInts(_ position: Int, count: Int) throws -> [Int] {
    let values = try ints(position)
    guard values.count == count else { throw mismatch(position, "\(count) integers") }
    return values
  }

  public func bool(_ position: Int) throws -> Bool {
    switch arguments[position] {
    case .bool(let value): return value
    case .int(let value) where value == 0 || value == 1: return value == 1
    default: throw mismatch(position, "a bool")
    }
  }

  public func bools(_ position: Int) throws -> [Bool] {
    guard let values = arguments[position].elements else { throw mismatch(position, "a list of bools") }
    return try values.map {
      guard case .bool(let value) = $0 else { throw mismatch(position, "a list of bools") }
      return value
    }
  }

  public func scalar(_ position: Int) throws -> Scalar {
    guard let value = arguments[position].scalar else { throw mismatch(position, "a number") }
    return value
  }

  public func optionalScalar(_ position: Int) throws -> Scalar? {
    arguments[position].isNone ? nil : try scalar(position)
  }

  public func double(_ position: Int) throws -> Double { try scalar(position).doubleValue }

  public func doubles(_ position: Int) throws -> [Double] {
    guard let values = arguments[position].elements else { throw mismatch(position, "a list of numbers") }
    return try values.map {
      guard let scalar = $0.scalar else { throw mismatch(position, "a list of numbers") }
      return scalar.doubleValue
    }
  }

  public func string(_ position: Int) throws -> String {
    guard case .string(let value) = arguments[position] else { throw mismatch(position, "a string") }
    return value
  }

  public func dtype(_ position: Int) throws -> DType {
    guard case .dtype(let value) = arguments[position] else { throw mismatch(position, "a dtype") }
    return value
  }

  public func optionalDType(_ position: Int) throws -> DType? {
    switch arguments[position] {
    case .none: return nil
    case .dtype(let value): return value
    default: throw mismatch(position, "a dtype")
    }
  }

  public func optionalMemoryFormat(_ position: Int) throws -> MemoryFormat? {
    switch arguments[position] {
    case .none: return nil
    case .memoryFormat(let value): return value
    default: throw mismatch(position, "a memory format")
    }
  }

  public func optionalDevice(_ position: Int) throws -> Device? {
    switch arguments[position] {
    case .none: return nil
    case .device(let value): return value
    default: throw mismatch(position, "a device")
    }
  }

  /// The tensor or buffer at a position.
  public func reference(_ position: Int) throws -> Reference {
    guard let reference = arguments[position].reference else { throw mismatch(position, "a tensor") }
    return reference
  }

  public func optionalReference(_ position: Int) throws -> Reference? {
    arguments[position].isNone ? nil : try reference(position)
  }

  public func references(_ position: Int) throws -> [Reference] {
    guard let values = arguments[position].elements else { throw mismatch(position, "a list of tensors") }
    return try values.map {
      guard let reference = $0.reference else { throw mismatch(position, "a list of tensors") }
      return reference
    }
  }

  /// A dimension, counted from the end if negative.
  public func dimension(_ position: Int, rank: Int) throws -> Int {
    try target.normalizedDimension(int(position), rank: rank, parameter: target.schema.parameters[position].name)
  }

  func mismatch(_ position: Int, _ needed: String) -> OperatorError {
    let parameter = target.schema.parameters.indices.contains(position) ? target.schema.parameters[position].name : "?"
    let got = arguments.indices.contains(position) ? "\(arguments[position])" : "nothing"
    return OperatorError(.argument, target.name, "argument '\(parameter)' must be \(needed), got \(got)")
  }
}

extension Call where Reference == Tensor {
  public func tensor(_ position: Int) throws -> Tensor { try reference(position) }
  public func optionalTensor(_ position: Int) throws -> Tensor? { try optionalReference(position) }
  public func tensors(_ position: Int) throws -> [Tensor] { try references(position) }

  func refuseBool(_ tensor: Tensor) throws {
    if tensor.dtype == .bool { throw OperatorError(.dtype, target.name, "is not defined for bool") }
  }

  /// - Throws: `OperatorError` with code `dataDependent` where a result's shape takes elements that are not known, as while
  ///   a function is captured.
  func refuseUnknownElements(of tensor: Tensor, instead: String) throws {
    guard tensor.isFake else { return }
    throw OperatorError(
      .dataDependent, target.name,
      "the number of elements depends on values that are not known while a function is captured; \(instead)")
  }

  /// Every tensor among the arguments, in order, those in lists included.
  public var allTensors: [Tensor] {
    var result: [Tensor] = []
    for argument in arguments { argument.forEachReference { result.append($0) } }
    return result
  }

  public func contains(where predicate: (Tensor) -> Bool) -> Bool {
    arguments.contains { $0.containsReference(where: predicate) }
  }
}

extension Call: Sendable where Reference: Sendable {}
