/// Why a file of tensors or a program could not be read, written or run.
public struct ModelFormatError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Code: Hashable, Sendable {
    /// The system refused to read or write.
    case inputOutput
    /// The bytes are not what the format demands.
    case malformed
    /// The bytes are right and ask for something that this package does not have.
    case unsupported
    /// Something was asked for that is not there.
    case notFound
    /// What a caller gave does not fit.
    case invalidArgument
  }

  public var code: Code
  public var message: String
  /// The file, or the member of an archive, by name.
  public var member: String?
  /// The node of a program.
  public var node: String?
  /// The argument of that node.
  public var argument: String?

  public init(
    _ code: Code, _ message: String, member: String? = nil, node: String? = nil, argument: String? = nil
  ) {
    self.code = code
    self.message = message
    self.member = member
    self.node = node
    self.argument = argument
  }

  public var description: String {
    let place = [member, node.map { "node '\($0)'" }, argument.map { "argument '\($0)'" }].compactMap(\.self)
    return place.isEmpty ? message : "\(place.joined(separator: ", ")): \(message)"
  }

  /// The error with that member as its place, where it has none yet.
  func inside(member: String) -> ModelFormatError {
    var error = self
    error.member = error.member ?? member
    return error
  }
}
