/// Why a graph could not be built, read, checked or run.
public struct GraphError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Code: Hashable, Sendable {
    case invalidArgument
    case hasUsers
    case malformed
    case syntax
    case unknownOperator
    case missingAttribute
    case execution
  }

  public var code: Code
  public var message: String
  /// The node at fault, by name.
  public var node: String?
  public var source: SourceLocation?

  public init(_ code: Code, _ message: String, node: String? = nil, source: SourceLocation? = nil) {
    self.code = code
    self.message = message
    self.node = node
    self.source = source
  }

  public var description: String {
    let place = [node.map { "node '\($0)'" }, source.map(\.description)].compactMap(\.self).joined(separator: ", ")
    return place.isEmpty ? message : "\(place): \(message)"
  }
}
