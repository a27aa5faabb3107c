import GraphIR

/// An error about an operator call that can tell the user's line that made it.
public protocol LocatedError: Error {
  var source: SourceLocation? { get set }
}

/// Why a call of an operator was refused. Nothing was written when one is thrown.
public struct OperatorError: LocatedError, Hashable, Sendable, CustomStringConvertible {
  public enum Code: Hashable, Sendable {
    case argument
    case shape
    case dtype
    case device
    case index
    /// A write to memory that another element or operand also occupies.
    case overlap
    /// A value was read that does not exist while a function is captured.
    case dataDependent
    case notDifferentiable
    /// Elements of a tensor are refused: an integer 0 as a divisor, a probability outside of 0…1.
    case elements
    /// A tensor made in inference mode was written to outside of it.
    case inferenceTensor
    case notImplemented
    /// An assertion of the program's does not hold.
    case assertion
  }

  public var code: Code
  public var name: OperatorName?
  public var message: String
  public var source: SourceLocation?

  public init(_ code: Code, _ name: OperatorName? = nil, _ message: String, source: SourceLocation? = nil) {
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
