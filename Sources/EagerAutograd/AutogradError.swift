import GraphIR
import Operators

/// Why autograd refused something. In-place calls are refused before anything is written.
public struct AutogradError: LocatedError, Hashable, Sendable, CustomStringConvertible {
  public enum Code: Hashable, Sendable {
    /// A leaf that requires a gradient, or a view of one, was to be written to.
    case leafInPlace
    /// A view that autograd cannot follow a write through was to be written to, or its memory was.
    case viewInPlace
    /// A value that the backward pass needs was overwritten after it had been saved.
    case modifiedInPlace
    /// The saved values were freed by an earlier backward pass.
    case backwardTwice
    /// A checkpoint's body did something else when it ran again.
    case recomputationDiffers
    case notDifferentiable
    /// Gradients were asked of a tensor that does not require them.
    case noGradient
    /// An input's gradient was asked for, but the output does not depend on the input.
    case unusedInput
    /// A gradient of the wrong shape, device or count.
    case invalidGradient
    case notLeaf
    case notFloatingPoint
    /// A tensor that was made in inference mode was to take part in autograd.
    case inferenceTensor
    /// Something that a function being captured cannot do.
    case notCapturable
  }

  public var code: Code
  /// The operator that the error is about, where it is about one.
  public var name: OperatorName?
  public var message: String
  public var source: SourceLocation?

  public init(_ code: Code, in name: OperatorName? = nil, _ message: String, source: SourceLocation? = nil) {
    self.code = code
    self.name = name
    self.message = message
    self.source = source
  }

  public var description: String {
    [source.flatMap { $0.isKnown ? $0.description : nil }, name.map(\.description), message].compactMap(\.self).joined(
      separator: ": ")
  }
}
