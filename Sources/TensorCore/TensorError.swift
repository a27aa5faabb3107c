/// What can go wrong with a tensor's memory and geometry, before any operator is involved.
public struct TensorError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Code: Hashable, Sendable {
    case invalidSize
    case outOfBounds
    case dtypeMismatch
    /// The memory of a fake tensor was asked for.
    case noMemory
    case allocationFailed
    case wrongDevice
  }

  public var code: Code
  public var message: String

  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  public var description: String { message }
}
