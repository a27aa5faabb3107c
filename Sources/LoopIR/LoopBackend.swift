/// What turns loop programs into something that runs on a device.
public protocol LoopBackend: Sendable {
  func compile(_ program: LoopProgram) throws -> any LoopExecutable
}

/// A compiled loop program. It may run on several threads at once.
public protocol LoopExecutable: AnyObject, Sendable {
  /// Bytes of the arena that temporaries live in while it runs.
  var arenaByteCount: Int { get }

  /// Runs every kernel, in order, and returns when all is written.
  ///
  /// - Parameter externals: The base address of each external buffer, by position.
  /// - Throws: `LoopError` where an index is out of range, or what a host kernel throws.
  func run(_ externals: UnsafeBufferPointer<UnsafeMutableRawPointer?>) throws
}

/// Why a loop program could not be compiled or run.
public struct LoopError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Code: Hashable, Sendable {
    case unsupported
    /// A program that breaks a rule of the loop language: a bug of whoever wrote it.
    case invalidProgram
    case indexOutOfRange
  }

  public var code: Code
  public var message: String
  /// The position of the external buffer that holds the index that is out of range, where one does.
  public var external: Int?

  public init(_ code: Code, _ message: String, external: Int? = nil) {
    self.code = code
    self.message = message
    self.external = external
  }

  public var description: String { message }
}
