import AOTAutograd

/// Layers one after the other. They are named `0`, `1`, …, as by `torch.nn.Sequential`.
public final class Sequential: Module, Layer {
  public let layers: [any Layer]

  public init(_ layers: any Layer...) { self.layers = layers }
  public init(_ layers: [any Layer]) { self.layers = layers }

  public func callAsFunction(_ input: Tensor) throws -> Tensor { try layers.reduce(input) { try $1($0) } }

  public override class func stateName(of property: String) -> String {
    property == "layers" ? "" : super.stateName(of: property)
  }
}

/// All dimensions from one to another made one: `torch.nn.Flatten`.
public final class Flatten: Module, Layer {
  public let start, end: Int

  public init(from start: Int = 1, to end: Int = -1) { (self.start, self.end) = (start, end) }

  public func callAsFunction(_ input: Tensor) throws -> Tensor { try input.flatten(from: start, to: end) }
  public override var settings: String { "from: \(start), to: \(end)" }
}

/// Nothing, as a layer: `torch.nn.Identity`.
public final class Identity: Module, Layer {
  public func callAsFunction(_ input: Tensor) throws -> Tensor { input }
}
