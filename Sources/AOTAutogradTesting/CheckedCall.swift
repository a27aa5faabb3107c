import AOTAutograd
import GraphIR
import TensorCore

/// One call that `aotcheck` makes twice: eagerly and compiled.
public struct CheckedCall {
  /// Makes the arguments, anew for each of the two.
  public var arguments: () throws -> Arguments
  public var isGradEnabled: Bool
  /// The gradient to start the backward pass with at a root: the outputs, then the arguments, then the captured tensors, counted
  /// together, where they require a gradient and are no leaves. nil leaves a root out.
  public var tangent: (_ root: Int, _ tensor: Tensor) throws -> Tensor?
  /// What the caller does after the call and before the backward pass, such as writing to an output.
  public var afterwards: ((_ arguments: [Tensor], _ outputs: [Tensor?]) throws -> Void)?
  /// Whether the call is like the one before in all that compilation relies on, so that it must not compile anew.
  public var isLikePrevious: Bool

  public init(
    isGradEnabled: Bool = true, isLikePrevious: Bool = false,
    tangent: @escaping (_ root: Int, _ tensor: Tensor) throws -> Tensor? = CheckedCall.unevenTangent,
    afterwards: ((_ arguments: [Tensor], _ outputs: [Tensor?]) throws -> Void)? = nil,
    _ arguments: @escaping () throws -> Arguments
  ) {
    self.arguments = arguments
    self.isGradEnabled = isGradEnabled
    self.tangent = tangent
    self.afterwards = afterwards
    self.isLikePrevious = isLikePrevious
  }

  /// Tensors, and the leaves that they were computed from: their gradients are compared too.
  public struct Arguments: ExpressibleByArrayLiteral {
    public var tensors: [Tensor]
    public var leaves: [Tensor]

    public init(_ tensors: [Tensor], behind leaves: [Tensor] = []) {
      self.tensors = tensors
      self.leaves = leaves
    }

    public init(arrayLiteral tensors: Tensor...) { self.init(tensors) }
  }

  /// A gradient that differs from element to element and from root to root.
  public static func unevenTangent(root: Int, tensor: Tensor) throws -> Tensor? {
    let weights = (0..<tensor.elementCount).map { 0.5 + 0.25 * Double(($0 + root) % 5) }
    return try Tensor(weights, shape: tensor.shape).to(tensor.dtype)
  }
}
