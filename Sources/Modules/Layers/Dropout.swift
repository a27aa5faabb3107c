import AOTAutograd

/// In training, sets elements to 0 with probability `p` and scales the others by `1 / (1 - p)`: `torch.nn.Dropout`.
public final class Dropout: Module, Layer {
  public let p: Double

  /// - Throws: `ModuleError` where `p` is no probability.
  public init(_ p: Double = 0.5) throws {
    guard 0...1 ~= p else { throw ModuleError(.invalidSetting, "Dropout: \(p) is no probability") }
    self.p = p
  }

  public func callAsFunction(_ input: Tensor) throws -> Tensor { try input.dropout(p, isTraining: isTraining) }

  public override var settings: String { "\(p)" }
}
