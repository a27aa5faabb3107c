import GraphIR
import Operators

/// Why a function could not be compiled or called.
public struct AOTError: LocatedError, Hashable, Sendable, CustomStringConvertible {
  public enum Code: Hashable, Sendable {
    case tooManyEntries
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
