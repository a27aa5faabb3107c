import GraphIR
import TensorCore

/// A function on flat argument and result lists: the convention between wrappers. What is no tensor among the arguments is
/// a constant of the graph.
public typealias RuntimeFunction = @Sendable ([Tensor]) throws -> [Value]

/// One layer between the caller and a compiled graph.
///
/// What it needs when it runs is computed when it is made; at run time it does no analysis. A wrapper that has nothing to do
/// for a function is not in the stack.
public protocol RuntimeWrapper: Sendable {
  /// A name for messages and logs.
  static var name: String { get }

  /// The function as seen from outside this wrapper.
  func wrap(_ inner: @escaping RuntimeFunction) -> RuntimeFunction
}
