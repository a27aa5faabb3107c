/// Why a folder of recorded facts could not be read.
public struct FactsError: Error, Hashable, Sendable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}
