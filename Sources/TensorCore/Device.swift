/// Where a tensor's memory is and where work on it runs.
public struct Device: Hashable, Sendable {
  public enum Kind: UInt8, Hashable, Sendable { case cpu, cuda }

  public var kind: Kind
  /// Which device of its kind; 0 for the CPU.
  public var index: Int

  public init(_ kind: Kind, index: Int = 0) {
    self.kind = kind
    self.index = index
  }

  public static let cpu = Device(.cpu)
}

extension Device: LosslessStringConvertible {
  /// `cpu`, `cuda:0`.
  public var description: String { kind == .cpu ? "cpu" : "cuda:\(index)" }

  public init?(_ description: String) {
    switch description {
    case "cpu": self = .cpu
    case "cuda": self.init(.cuda)
    default:
      guard description.hasPrefix("cuda:"), let index = Int(description.dropFirst(5)), index >= 0 else { return nil }
      self.init(.cuda, index: index)
    }
  }
}
