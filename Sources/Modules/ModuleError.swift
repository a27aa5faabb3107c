/// Why a module, an optimizer or a checkpoint refused something.
public struct ModuleError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Code: Hashable, Sendable {
    /// A size or setting that makes no sense.
    case invalidSetting
    case duplicateName
    case missingName
    case unexpectedName
    case shapeMismatch
    case dtypeMismatch
    /// A parameter that cannot be trained, or got no gradient where all have to.
    case notTrainable
  }

  public var code: Code
  public var message: String

  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  public var description: String { message }
}
