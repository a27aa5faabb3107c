import GraphIR
import Operators

/// Why a closure could not be captured.
public struct CaptureError: LocatedError, Hashable, Sendable, CustomStringConvertible {
  public enum Code: Hashable, Sendable {
    /// The closure gave something that holds no tensors.
    case nonTensorOutput
    /// The closure used a tensor of a capture that is not this one.
    case foreignTensor
    case unsupported
  }

  public var code: Code
  public var message: String
  public var source: SourceLocation?

  public init(_ code: Code, _ message: String, source: SourceLocation? = nil) {
    self.code = code
    self.message = message
    self.source = source
  }

  public var description: String { [source?.description, message].compactMap(\.self).joined(separator: ": ") }
}
