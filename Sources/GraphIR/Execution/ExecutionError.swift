/// A call in a graph that failed when it ran: which node, where the user wrote it, and why.
public struct ExecutionError: Error, CustomStringConvertible {
  public var node: String
  public var operatorName: OperatorName?
  public var source: SourceLocation?
  public var underlying: any Error

  public init(node: String, operatorName: OperatorName? = nil, source: SourceLocation? = nil, underlying: any Error) {
    self.node = node
    self.operatorName = operatorName
    self.source = source
    self.underlying = underlying
  }

  public var description: String {
    let call = operatorName.map { " (\($0))" } ?? ""
    let place = source.map { ", written at \($0)" } ?? ""
    return "node '\(node)'\(call)\(place): \(underlying)"
  }
}
