import AOTAutograd

/// A tensor and what it is called, such as `layers.0.weight`.
public struct NamedTensor {
  public var name: String
  public var tensor: Tensor

  public init(_ name: String, _ tensor: Tensor) {
    self.name = name
    self.tensor = tensor
  }
}

extension [NamedTensor] {
  /// Each tensor once, under its first name.
  var withoutRepetition: [NamedTensor] {
    var seen: Set<ObjectIdentifier> = []
    return filter { seen.insert(ObjectIdentifier($0.tensor)).inserted }
  }

  /// The same tensors, their names in a part of something larger.
  func named(inside part: String) -> [NamedTensor] { map { NamedTensor("\(part).\($0.name)", $0.tensor) } }
}
