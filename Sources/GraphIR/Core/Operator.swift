import TensorCore

/// What a `call_function` node calls: as much of an operator as a graph has to know.
///
/// Operators are compared by identity: one operator is one object.
public protocol Operator: AnyObject, Sendable {
  var schema: OperatorSchema { get }
  var traits: OperatorTraits { get }

  /// Runs the operator. With fake tensors it gives fake results: this is also the shape rule.
  ///
  /// - Parameter arguments: One per schema parameter, defaults filled in (`OperatorSchema.bind`).
  /// - Returns: The result; a tuple where the schema has several returns.
  func evaluate(_ arguments: [Value]) throws -> Value
}

extension Operator {
  public var name: OperatorName { schema.name }

  /// Whether a call may be dropped when nothing uses its result, unless it `checksElements`.
  ///
  /// A draw of random numbers may not: those drawn after it would change.
  public var isPure: Bool { !schema.isMutating && traits.isDisjoint(with: [.effectful, .random]) }
}

extension Node {
  /// Whether the node is a call that is made for the elements that it refuses. A formula of a derivative is not: what it
  /// computes with has been checked.
  public var checksElements: Bool {
    guard let traits = target?.traits, !metadata.isBackward else { return false }
    return traits.contains(.checksElements)
      || traits.contains(.checksIntegers) && metadata.tensor?.dtype.isFloatingPoint == false
  }
}

/// What a schema cannot say about an operator.
public struct OperatorTraits: OptionSet, Hashable, Sendable {
  public let rawValue: UInt16

  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// Draws random numbers: two calls with the same arguments differ.
  public static let random = OperatorTraits(rawValue: 1 << 0)
  /// Does something besides computing its result, in program order.
  public static let effectful = OperatorTraits(rawValue: 1 << 1)
  /// Each element of the result depends on the elements at the same (broadcast) index alone.
  public static let pointwise = OperatorTraits(rawValue: 1 << 2)
  /// Folds elements along dimensions.
  public static let reduction = OperatorTraits(rawValue: 1 << 3)
  /// Costs far more arithmetic than memory traffic: worth saving rather than recomputing.
  public static let computeBound = OperatorTraits(rawValue: 1 << 4)
  /// Makes a tensor from no tensor.
  public static let factory = OperatorTraits(rawValue: 1 << 5)
  /// Its result's shape depends on the elements of its arguments.
  public static let dataDependent = OperatorTraits(rawValue: 1 << 6)
  /// Calls graphs of the module that it stands in: a `GraphCallingOperator`.
  public static let callsGraphs = OperatorTraits(rawValue: 1 << 7)
  /// Belongs to PyTorch's core ATen set: the operators that the others decompose into.
  public static let core = OperatorTraits(rawValue: 1 << 8)
  /// Refuses some elements, such as an index that is out of range: a call that a user wrote is made though nothing uses its
  /// result.
  public static let checksElements = OperatorTraits(rawValue: 1 << 9)
  /// Does so where they are integers, such as 0 as a divisor.
  public static let checksIntegers = OperatorTraits(rawValue: 1 << 10)
}

/// An operator that runs nested graphs of the module it is called in, with trait `callsGraphs`.
///
/// The value of a `get_attr` node that names a module is the module's path, a string.
public protocol GraphCallingOperator: Operator {
  /// Runs the operator.
  ///
  /// - Parameter run: Runs the module at a path on arguments.
  func evaluate(_ arguments: [Value], running run: (_ path: String, _ arguments: [Value]) throws -> Value) throws
    -> Value
}

extension GraphCallingOperator {
  public func evaluate(_ arguments: [Value]) throws -> Value {
    try evaluate(arguments) { path, _ throws(GraphError) in
      throw GraphError(
        .execution, "\(name): the module '\(path)' can only be run by an interpreter of the graph around it")
    }
  }
}

/// Where a text form finds operators by name.
public protocol OperatorTable: Sendable {
  func lookup(_ name: OperatorName) -> (any Operator)?
}

/// A name such as `aten.add.Tensor`; the overload of an operator with a single one is `default`.
public struct OperatorName: Hashable, Sendable {
  public var namespace: String
  public var base: String
  public var overload: String

  public init(_ namespace: String, _ base: String, _ overload: String = "default") {
    self.namespace = namespace
    self.base = base
    self.overload = overload
  }
}

extension OperatorName: LosslessStringConvertible {
  public var description: String { "\(namespace).\(base).\(overload)" }

  public init?(_ description: String) {
    let parts = description.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty }) else { return nil }
    self.init(String(parts[0]), String(parts[1]), String(parts[2]))
  }
}
